//! `mailer`: works on messages, each with the identity that came with it, in a trace of its own.

use std::collections::HashMap;
use std::sync::Arc;

use hopseal::messaging::Consumer;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use super::database::Database;
use super::parts::Parts;
use crate::demo::error::DemoError;

/// What orders are told of.
pub(super) const TOPIC: &str = "mails";

/// What is in the queue.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) headers: HashMap<String, String>,
    pub(super) number: String,
}

/// The service: to be run for as long as there are messages. `done` counts them.
pub(super) fn run(
    parts: &Parts,
    mut queue: UnboundedReceiver<Message>,
    done: watch::Sender<u64>,
) -> Result<impl Future<Output = ()> + use<>, DemoError> {
    let outbox = Database::new("outbox", parts.tracer())?;
    let consumer = Consumer::new(Arc::clone(&parts.seals.checker), parts.workload(), parts.tracer())
        .resealing(Arc::clone(&parts.seals.sealer));
    Ok(async move {
        while let Some(Message { headers, number }) = queue.recv().await {
            let message = consumer.receive(TOPIC, &headers);
            // A mail that cannot be kept shows on its span.
            let _ = consumer.process(message, async { outbox.insert(&number, "sent") }).await;
            done.send_modify(|done| *done += 1);
        }
    })
}
