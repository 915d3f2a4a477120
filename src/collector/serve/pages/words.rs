//! `/words`: what the words of the other pages mean.

use hopseal_correlate::rule::Rule;
use hopseal_identity::{Assurance, Basis};
use maud::{Markup, html};

use super::finding::sureness;
use super::frame::Page;
use super::parts::{assurance, basis, basis_meaning, meaning, prose, severity};

/// The page.
pub(super) async fn page() -> Page {
    Page::new("/words", "Words", content())
}

fn content() -> Markup {
    html! {
        h1 { "What the words mean" }
        section {
            h2 id="assurance" { "Assurance" }
            p { "How sure the identity of a hop is: one word a hop." }
            dl.words { @for word in Assurance::ALL.into_iter().rev() {
                dt id=(word.as_str()) { (assurance(word)) } dd { (meaning(word)) }
            } }
        }
        section {
            h2 id="basis" { "Why that word is believed" }
            p { "Anyone can send a span. So each hop says who vouches for its word as well." }
            dl.words { @for word in [Basis::AuthenticatedSender, Basis::Reverified, Basis::Claimed] {
                dt id=(word.as_str()) { (basis(word)) } dd { (basis_meaning(word)) }
            } }
        }
        section {
            h2 id="coverage" { "Coverage" }
            dl.words {
                dt id="hop" { "hop" } dd { "One crossing into a service, in one trace." }
                dt id="edge" { "edge" } dd { "All hops from one service into another." }
                dt id="principal" { "principal" } dd { "The identity acting at a hop. Who acts for it is an actor." }
                dt id="identified" { "identified" } dd { "Hops that show a principal: verified, sealed or asserted." }
                dt id="proven" { "proven" } dd { "Of those, the ones for which something other than the span vouches." }
                dt id="uncovered" { "uncovered" } dd { "Hops into a service that never shows an identity: a gap in what can be seen, and no finding." }
                dt id="lost" { "identity lost" } dd { "A hop without a principal, called from one that has one, in a service that shows identities at times. Whether that is a fault is for the findings to say." }
                dt id="gap" { "gap" } dd { "A hop whose caller did not arrive, so that its identity cannot be carried back." }
            }
        }
        section {
            h2 id="sureness" { "Findings" }
            p { "How sure a finding is. Where something else could explain it, the finding says what." }
            dl.words { @for word in ["certain", "likely", "hint"] { dt { span.confidence { (word) } } dd { (sureness(word)) } } }
            p { "What became of it." }
            dl.words {
                @for (word, meaning) in [
                    ("open", "It stands."),
                    ("acknowledged", "Somebody has seen it."),
                    ("resolved", "Somebody says that it is mended."),
                    ("retracted", "Later spans showed that it was none."),
                    ("suppressed", "Somebody says that it is no fault."),
                ] { dt { (word) } dd { (meaning) } }
            }
        }
        section {
            h2 id="rules" { "Rules" }
            dl.words.rules { @for rule in Rule::ALL {
                @let spec = rule.spec();
                dt id={ "rule-" (rule.as_str()) } { (rule.as_str()) " " (severity(spec.severity.as_str())) }
                dd { p { (prose(spec.meaning)) } p { strong { "What to do: " } (prose(spec.fix)) } }
            } }
        }
    }
}
