//! The stories: what is done in each, and what the collector is to find in it.

use std::time::Duration;

use hopseal_correlate::rule::Rule;
use reqwest::Method;
use tokio::time::sleep;

use super::error::DemoError;
use super::fleet::Fleet;
use super::people::{BROWSER, KIOSK, KIOSK_SECONDS, People, SignedIn, send};
use super::trust::{SKEW, Trust};

/// One story.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) title: &'static str,
    /// What was done, and what was wrong with it.
    pub(super) done: &'static [&'static str],
    /// How many hops it has.
    pub(super) hops: usize,
    /// What is found in it, and about which service, each once.
    pub(super) promised: &'static [(Rule, &'static str)],
    act: Act,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    AllIsWell,
    Dropped,
    Forged,
    Swapped,
    Expired,
    AnonymousWrite,
}

/// In their order: from the first the collector learns what these services show when all is well.
pub(super) const STORIES: [Story; 6] = [
    Story {
        title: "All is well",
        done: &[
            "alice places an order and has the agent look at it; the agent exchanges her token for one of its own.",
            "bob places one, asks the agent what he was charged, and looks at his account. carol pays bob back.",
            "gateway validates their tokens; what goes on from there is sealed. mailer reads a queue.",
        ],
        hops: 17,
        promised: &[],
        act: Act::AllIsWell,
    },
    Story {
        title: "A dropped identity",
        done: &[
            "alice asks for a receipt. For receipts, orders makes an HTTP client of its own, past the one through",
            "which identities leave: payments is not told whose order it is.",
        ],
        hops: 3,
        promised: &[(Rule::IdentityDropped, "payments")],
        act: Act::Dropped,
    },
    Story {
        title: "A forged identity",
        done: &[
            "Somebody inside the network calls payments past the gateway, without a token, with baggage that",
            "names alice. payments, which does not require a proof, believes it. Nothing seals it.",
        ],
        hops: 1,
        promised: &[(Rule::BaggageTampered, "payments")],
        act: Act::Forged,
    },
    Story {
        title: "A swapped identity",
        done: &[
            "alice asks the agent what she was charged. The client of that tool was made when bob asked, with",
            "bob's token, and kept: payments acts for bob.",
        ],
        hops: 3,
        promised: &[(Rule::IdentitySwapped, "payments")],
        act: Act::Swapped,
    },
    Story {
        title: "An expired token",
        done: &[
            "bob looks at his account from a kiosk, whose tokens live three seconds, and again when his is over.",
            "gateway remembers tokens that were good once, and does not look at the clock again.",
        ],
        hops: 2,
        promised: &[(Rule::ExpiredAtHop, "gateway")],
        act: Act::Expired,
    },
    Story {
        title: "An anonymous write",
        done: &[
            "Somebody calls payments past the gateway, with nothing at all, for money back. The route does not",
            "ask who wants it.",
        ],
        hops: 1,
        promised: &[(Rule::AnonymousWrite, "payments"), (Rule::NeverEstablished, "payments")],
        act: Act::AnonymousWrite,
    },
];

/// Where the stories play, and who plays in them.
pub(super) struct Stage<'a> {
    people: &'a People,
    fleet: &'a Fleet,
    alice: SignedIn,
    bob: SignedIn,
    carol: SignedIn,
    /// What stands for alice on spans, as anybody can read there.
    alice_on_spans: String,
}

impl<'a> Stage<'a> {
    /// People sign in.
    pub(super) async fn new(people: &'a People, fleet: &'a Fleet, trust: &Trust) -> Result<Self, DemoError> {
        let sign_in = |person| people.sign_in(BROWSER, person);
        Ok(Self {
            alice: sign_in("alice").await?,
            bob: sign_in("bob").await?,
            carol: sign_in("carol").await?,
            alice_on_spans: trust.pseudonym("alice")?,
            people,
            fleet,
        })
    }

    /// Plays a story to its end.
    pub(super) async fn play(&self, story: &Story) -> Result<(), DemoError> {
        let Self { alice, bob, .. } = self;
        let gateway = |method, path| self.people.ask(method, self.fleet.gateway, path);
        let payments = |method, path| self.people.ask(method, self.fleet.payments, path);
        match story.act {
            Act::AllIsWell => {
                alice.send("an order", gateway(Method::POST, "/orders/7")).await?;
                self.mailed(1).await;
                alice.send("a question", gateway(Method::POST, "/ask/order/7")).await?;
                bob.send("an order", gateway(Method::POST, "/orders/8")).await?;
                self.mailed(2).await;
                bob.send("a question", gateway(Method::POST, "/ask/charge/8")).await?;
                bob.send("an account", gateway(Method::GET, "/account")).await?;
                self.carol.send("a refund", payments(Method::POST, "/refunds/8")).await
            }
            Act::Dropped => alice.send("a receipt", gateway(Method::GET, "/orders/7/receipt")).await,
            Act::Forged => {
                let baggage =
                    format!("hopseal.sub={},hopseal.kind=user,hopseal.iss=staff", self.alice_on_spans);
                send("a charge", payments(Method::GET, "/charges/7").header("baggage", baggage)).await
            }
            Act::Swapped => alice.send("a question", gateway(Method::POST, "/ask/charge/7")).await,
            Act::Expired => {
                let bob = self.people.sign_in(KIOSK, "bob").await?;
                bob.send("an account", gateway(Method::GET, "/account")).await?;
                // A second more is for clocks that differ, and one for what tokens count in.
                sleep(Duration::from_secs(KIOSK_SECONDS + SKEW + 1)).await;
                bob.send("an account", gateway(Method::GET, "/account")).await
            }
            Act::AnonymousWrite => send("a refund", payments(Method::POST, "/refunds/7")).await,
        }
    }

    /// Waits until so many mails were sent.
    async fn mailed(&self, count: u64) {
        // The mailer ends with the fleet.
        let _ = self.fleet.mails.clone().wait_for(|mails| *mails >= count).await;
    }
}
