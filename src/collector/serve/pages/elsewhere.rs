//! Links to where else the same is looked at, if the configuration says where that is.

use form_urlencoded::Serializer;
use maud::{Markup, html};
use serde_json::json;

/// Where things are for people, each without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Links {
    /// A Grafana with our dashboards and data sources.
    pub(crate) grafana: Option<String>,
    /// A user interface of Jaeger that has the traces.
    pub(crate) jaeger: Option<String>,
}

impl Links {
    /// To a trace by its id.
    pub(super) fn trace(&self, trace_id: &str) -> Markup {
        let jaeger = self.jaeger.as_ref().map(|jaeger| format!("{jaeger}/trace/{trace_id}"));
        // The data source is called so in `dashboards/provisioning`.
        let pane = json!({"trace": {
            "datasource": "hopseal-jaeger",
            "queries": [{"refId": "A", "query": trace_id}],
            "range": {"from": "now-1h", "to": "now"},
        }});
        let pairs = [("schemaVersion", "1".to_owned()), ("panes", pane.to_string())];
        let asked = Serializer::new(String::new()).extend_pairs(pairs).finish();
        let grafana = self.grafana.as_ref().map(|grafana| format!("{grafana}/explore?{asked}"));
        Self::all([("This trace in Jaeger", jaeger), ("This trace in Grafana", grafana)])
    }

    /// To one of our dashboards.
    pub(super) fn dashboard(&self, uid: &str) -> Markup {
        let grafana = self.grafana.as_ref().map(|grafana| format!("{grafana}/d/{uid}"));
        Self::all([("The same over time in Grafana", grafana)])
    }

    fn all<const N: usize>(links: [(&str, Option<String>); N]) -> Markup {
        html! {
            @if links.iter().any(|(_, address)| address.is_some()) {
                p.links { @for (name, address) in &links {
                    @if let Some(address) = address { a href=(address) { (name) } }
                } }
            }
        }
    }
}
