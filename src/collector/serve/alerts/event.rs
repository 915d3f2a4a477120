//! What becomes of findings as CloudEvents 1.0, one a request, in the structured mode of HTTP.
//!
//! They are signed as Standard Webhooks has it (`webhook-id`, `webhook-timestamp`, `webhook-signature`): CloudEvents leaves that
//! open, and for this there are libraries that check it, with the id and the time, in every language.

use super::post::{Post, Taken};
use super::settings::ReceiverSettings;
use super::{Did, NotYet};
use crate::output::alert::{self, EventShape};
use crate::serve::store::{Change, State};

const MEDIA_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// See the [module](self).
pub(super) struct Events {
    receiver: ReceiverSettings,
    pages: Option<String>,
}

impl Events {
    pub(super) const fn new(receiver: ReceiverSettings, pages: Option<String>) -> Self {
        Self { receiver, pages }
    }

    /// Tells of changes in their order, until `is_over`. `up_to`: of which all is told, also where not all could be.
    pub(super) fn tell(
        &self,
        changes: &[Change],
        post: &Post,
        is_over: &impl Fn() -> bool,
        did: &mut Did,
        up_to: &mut u64,
    ) -> Result<(), NotYet> {
        for change in changes.iter().filter(|change| self.receiver.wants(&change.finding)) {
            // A body of ours that cannot be read is in the trail, and nobody else's concern.
            let Some((id, body)) = self.event(change) else { continue };
            if is_over() {
                *up_to = change.seq.saturating_sub(1);
                return Ok(());
            }
            match post.send(&id, MEDIA_TYPE, body) {
                Ok(Taken::Yes) => did.sent += 1,
                Ok(Taken::Never(status)) => {
                    let (receiver, status) = (&self.receiver.name, status.as_u16());
                    tracing::warn!(receiver, status, event = id, "refuses an event");
                    did.refused += 1;
                }
                Err(later) => {
                    *up_to = change.seq.saturating_sub(1);
                    return Err(NotYet::Later(later));
                }
            }
        }
        Ok(())
    }

    /// The id of an event, and the event. The same each time.
    fn event(&self, change: &Change) -> Option<(String, Vec<u8>)> {
        let finding = serde_json::from_str(&change.finding.body).ok()?;
        let word = match change.state {
            State::Open => "opened",
            state => state.as_str(),
        };
        let id = format!("{}-{word}-{}", change.finding.id, change.at);
        let note = if change.state == State::Open { "" } else { &change.finding.note };
        let event = EventShape::new(&id, word, change.at, note, &finding, self.pages.as_deref());
        Some((id.clone(), alert::bytes(&event)?))
    }
}
