//! Services and who calls whom.

use std::ops::Index;

use super::dice::Dice;
use super::identity::Dialect;

/// Where identity evidence comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stack {
    /// Spans of any language: identities are only named, each service in its own dialect.
    Plain,
    /// Services with the crate; one token or seal passes through unchanged.
    Sealed,
    /// Services with the crate that exchange the token at every hop, so that the actor chain grows.
    Exchanging,
}

/// What a fault asks of the fleet it is injected into.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Needs {
    /// The stack, if it matters.
    pub(super) stack: Option<Stack>,
    /// Clean requests before it happens; 0 for a few.
    pub(super) history: usize,
    /// Whether the first services are an agent and its tool.
    pub(super) agents: bool,
    /// Whether the policy asks for verified identities, which it does for names that begin with `strict-`.
    pub(super) strict: bool,
    /// Whether the consumers of this fleet read from a topic in a trace of their own.
    pub(super) linked: bool,
}

/// A service of a fleet, by its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServiceId(pub(super) usize);

/// How a call travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP, with the method.
    Http(&'static str),
    /// gRPC.
    Rpc,
    /// A message. Linked: the consumer starts its own trace and links to the producer.
    Message {
        /// Own trace and a link, rather than the producer as parent.
        linked: bool,
    },
}

/// What a service is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operation {
    /// How it is asked.
    pub(super) protocol: Protocol,
    /// Route, full gRPC method, or topic.
    pub(super) route: String,
}

impl Operation {
    /// An HTTP operation.
    pub(super) fn http(method: &'static str, route: impl Into<String>) -> Self {
        Self { protocol: Protocol::Http(method), route: route.into() }
    }

    /// The name of its entry span.
    pub(super) fn name(&self) -> String {
        match self.protocol {
            Protocol::Http(method) => format!("{method} {}", self.route),
            Protocol::Rpc => self.route.clone(),
            Protocol::Message { .. } => format!("process {}", self.route),
        }
    }

    /// Whether it is a message.
    pub(super) fn is_message(&self) -> bool {
        matches!(self.protocol, Protocol::Message { .. })
    }
}

/// One service.
#[derive(Debug, Clone)]
pub(super) struct Service {
    /// `service.name`.
    pub(super) name: String,
    /// Its SPIFFE ID.
    pub(super) workload: String,
    /// Who calls it; none for the gateway.
    pub(super) caller: Option<ServiceId>,
    /// What it is called for.
    pub(super) operation: Operation,
    /// Whether that writes to its database.
    pub(super) writes: bool,
    /// Whether it ever shows an identity.
    pub(super) covered: bool,
    /// How it spells identity attributes.
    pub(super) dialect: Dialect,
    /// Spells the subject its own way, always the same way.
    pub(super) respells: bool,
    /// Uses the attribute names of before the stable conventions.
    pub(super) old_names: bool,
    /// Sends OTLP span flags.
    pub(super) flags: bool,
    /// How far its clock is ahead, in seconds.
    pub(super) clock: i64,
}

/// A call graph with one entry.
#[derive(Debug, Clone)]
pub(super) struct Fleet {
    /// Prefix of every service name.
    pub(super) name: String,
    /// Where its identities come from.
    pub(super) stack: Stack,
    /// Whether its first services are an agent and a tool.
    pub(super) agents: bool,
    /// The services, gateway first, callers before those they call.
    pub(super) services: Vec<Service>,
    /// Its people.
    pub(super) people: Vec<String>,
    /// Its tenants.
    pub(super) tenants: Vec<String>,
}

impl Index<ServiceId> for Fleet {
    type Output = Service;

    #[expect(clippy::indexing_slicing, reason = "a fleet makes its ids itself")]
    fn index(&self, id: ServiceId) -> &Service {
        &self.services[id.0]
    }
}

/// The gateway of every fleet.
pub(super) const GATEWAY: ServiceId = ServiceId(0);
/// In every fleet of three or more: covered, and called over HTTP by the gateway.
pub(super) const FIRST: ServiceId = ServiceId(1);
/// In every fleet of three or more: covered, and called over HTTP by [`FIRST`].
pub(super) const SECOND: ServiceId = ServiceId(2);
/// In every fleet of four or more: covered, and reached by a message of [`FIRST`].
pub(super) const CONSUMER: ServiceId = ServiceId(3);

/// Exchanges on the way that nobody objects to.
const MAX_ACTORS: usize = 4;

const NOUNS: [&str; 20] = [
    "orders", "payments", "carts", "stock", "prices", "shipping", "accounts", "ledger", "search", "reviews",
    "offers", "tickets", "seats", "routes", "billing", "invoices", "profiles", "media", "audits", "reports",
];

impl Fleet {
    /// A random fleet numbered `number` that a fault with `needs` can happen in.
    pub(super) fn new(dice: &mut Dice, number: u64, needs: Needs) -> Self {
        let stack = needs.stack.unwrap_or(*dice.pick(&[
            Stack::Plain,
            Stack::Plain,
            Stack::Sealed,
            Stack::Exchanging,
        ]));
        let prefix = if needs.strict { "strict" } else { "fleet" };
        let mut fleet = Self {
            name: format!("{prefix}{number}"),
            stack,
            agents: needs.agents,
            services: Vec::new(),
            people: (0..6).map(|_| format!("u-{}", dice.between(10_000, 99_999))).collect(),
            tenants: (0..3).map(|_| format!("t-{}", dice.hex(3))).collect(),
        };
        // Mostly a handful of services, now and then a crowd. A long history keeps it small.
        let most = if needs.history > 0 { 6 } else { *dice.pick(&[5, 8, 12, 60]) };
        let size = if number % 6 == 5 { dice.between(1, most) } else { dice.between(4, most.max(4)) };
        for place in 0..size {
            let service = fleet.service(dice, usize::try_from(place).unwrap_or_default(), needs);
            fleet.services.push(service);
        }
        fleet.skew(dice);
        fleet
    }

    fn service(&self, dice: &mut Dice, place: usize, needs: Needs) -> Service {
        let noun = *dice.pick(&NOUNS);
        let trunk = place <= CONSUMER.0;
        let caller = match place {
            0 => None,
            1 => Some(GATEWAY),
            2 | 3 => Some(FIRST),
            _ => Some(*dice.pick(&self.callers())),
        };
        let operation = match place {
            0..=2 if needs.agents => agent_operation(place),
            0..=2 => {
                let method = *dice.pick(&["GET", "POST"]);
                Operation::http(method, format!("/{noun}/{{id}}"))
            }
            3 => message(&format!("{}.{noun}", self.name), needs.linked || dice.percent(40)),
            _ => match dice.between(0, 9) {
                0..=5 => {
                    let method = *dice.pick(&["GET", "GET", "POST", "PUT"]);
                    Operation::http(method, format!("/{noun}/{{id}}"))
                }
                6 | 7 => Operation { protocol: Protocol::Rpc, route: format!("shop.{noun}.v1.Api/Fetch") },
                _ => message(&format!("{}.{noun}.{place}", self.name), dice.percent(10)),
            },
        };
        let name = match place {
            0 => gateway_of(&self.name),
            _ => format!("{}-{noun}-{place}", self.name),
        };
        // With the crate every service shows what it got: one that does not would leave a hole in the chain.
        let covered = trunk || self.stack != Stack::Plain || dice.percent(70);
        Service {
            workload: format!("spiffe://example.org/{name}"),
            name,
            caller,
            writes: !matches!(operation.protocol, Protocol::Http("GET")) && dice.percent(70),
            operation,
            covered,
            dialect: *dice.pick(&Dialect::ALL),
            respells: place > CONSUMER.0 && self.stack == Stack::Plain && dice.percent(10),
            old_names: dice.percent(40),
            flags: dice.percent(80),
            clock: 0,
        }
    }

    /// Services that may call another one. A chain of actors longer than [`MAX_ACTORS`] is a fault by itself.
    fn callers(&self) -> Vec<ServiceId> {
        let depth =
            |id: &ServiceId| std::iter::successors(self[*id].caller, |above| self[*above].caller).count();
        self.ids().filter(|id| self.stack != Stack::Exchanging || depth(id) < MAX_ACTORS).collect()
    }

    /// Sets the clock of one service wrong, in some fleets: one that is called, waited for, and calls nobody, so
    /// that its caller's span brackets every time it tells.
    fn skew(&mut self, dice: &mut Dice) {
        let called =
            |service: &Service| matches!(service.operation.protocol, Protocol::Http(_) | Protocol::Rpc);
        let leaf = self.ids().find(|id| id.0 > CONSUMER.0 && self.is_leaf(*id) && called(&self[*id]));
        let wrong = leaf.filter(|_| dice.percent(30));
        if let Some(service) = wrong.and_then(|ServiceId(place)| self.services.get_mut(place)) {
            service.clock = *dice.pick(&[-1_200, -400, 400, 1_200]);
        }
    }

    /// The ids of all services.
    pub(super) fn ids(&self) -> impl Iterator<Item = ServiceId> + use<> {
        (0..self.services.len()).map(ServiceId)
    }

    /// Whether `id` calls nobody.
    pub(super) fn is_leaf(&self, id: ServiceId) -> bool {
        self.services.iter().all(|service| service.caller != Some(id))
    }

    /// A service that never shows an identity, if there is one.
    pub(super) fn uncovered(&self) -> Option<ServiceId> {
        self.ids().find(|id| !self[*id].covered)
    }

    /// Whether identities are shown by the crate.
    pub(super) fn has_crate(&self) -> bool {
        self.stack != Stack::Plain
    }
}

/// The name of the gateway of the fleet `name`.
pub(super) fn gateway_of(name: &str) -> String {
    format!("{name}-gateway")
}

fn message(topic: &str, linked: bool) -> Operation {
    Operation { protocol: Protocol::Message { linked }, route: topic.to_owned() }
}

fn agent_operation(place: usize) -> Operation {
    match place {
        0 => Operation::http("POST", "/chat"),
        1 => Operation::http("POST", "/agents/{name}/runs"),
        _ => Operation::http("POST", "/mcp"),
    }
}
