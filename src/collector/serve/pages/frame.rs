//! What is around every page.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use crate::serve::api::Problem;

/// Pages, and what they are called.
const PLACES: [(&str, &str); 7] = [
    ("/", "Overview"),
    ("/findings", "Findings"),
    ("/matrix", "Matrix"),
    ("/coverage", "Coverage"),
    ("/principals", "Principals"),
    ("/live", "Live"),
    ("/words", "Words"),
];

/// One page.
pub(super) struct Page {
    /// The path of its entry in the navigation; empty for none.
    pub(super) place: &'static str,
    pub(super) title: String,
    pub(super) content: Markup,
    /// Whether `live.js` is asked for.
    pub(super) is_live: bool,
}

impl Page {
    pub(super) fn new(place: &'static str, title: impl Into<String>, content: Markup) -> Self {
        Self { place, title: title.into(), content, is_live: false }
    }

    /// The whole document.
    pub(super) fn document(&self) -> Markup {
        let Self { place, title, content, is_live } = self;
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " \u{b7} Hopseal" }
                    link rel="icon" href="/icon.svg" type="image/svg+xml";
                    link rel="stylesheet" href="/style.css";
                    @if *is_live { script src="/live.js" defer {} }
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header {
                        a.brand href="/" {
                            svg viewBox="0 0 32 16" width="36" height="18" aria-hidden="true" {
                                path.brand-line d="M8 8h16" {}
                                circle.brand-from cx="8" cy="8" r="5" {}
                                path.brand-to d="M24 2.2 29 5.1V10.9L24 13.8 19 10.9V5.1Z" {}
                            }
                            "Hopseal"
                        }
                        nav aria-label="Pages" {
                            ul {
                                @for (path, name) in PLACES {
                                    li { a href=(path) aria-current=[(path == *place).then_some("page")] { (name) } }
                                }
                            }
                        }
                    }
                    main id="content" tabindex="-1" { (content) }
                    footer {
                        p {
                            "Times are in UTC. "
                            a href="/words" { "What the words mean" } " \u{b7} "
                            a href="/api/v1/openapi.json" { "The same for machines" }
                        }
                    }
                }
            }
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        Html(self.document().into_string()).into_response()
    }
}

/// Why there is no page.
#[derive(Debug)]
pub(super) struct Wrong(pub(super) Problem);

impl From<Problem> for Wrong {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let (status, title, text) = match &self.0 {
            Problem::Asked(why) => (StatusCode::BAD_REQUEST, "That cannot be asked", format!("{why}.")),
            Problem::NotFound => (
                StatusCode::NOT_FOUND,
                "Not found",
                "There is no such page, or what it was about is not kept, or not kept any longer.".to_owned(),
            ),
            Problem::Failed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "It could not be answered",
                "The store did not answer. The log of the service says more.".to_owned(),
            ),
            Problem::Forbidden => (StatusCode::FORBIDDEN, "That is not for you", format!("{}.", self.0)),
            Problem::OtherSite => (StatusCode::FORBIDDEN, "From elsewhere", format!("{}.", self.0)),
            Problem::Refused(status, why) => (*status, "You are not let in", format!("{why}.")),
            Problem::OtherName => {
                (StatusCode::MISDIRECTED_REQUEST, "Under another name", format!("{}.", self.0))
            }
        };
        let content = html! {
            h1 { (title) }
            p { (text) }
            p { a href="/" { "To the overview" } }
        };
        (status, Page::new("", title, content)).into_response()
    }
}
