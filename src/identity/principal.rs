//! Who acts, and for whom.

/// What sort of principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A human being.
    User,
    /// A workload acting for itself.
    Service,
    /// An autonomous agent.
    Agent,
}

impl Kind {
    /// The word on the wire and in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::Agent => "agent",
        }
    }

    /// Reads the word back; `None` for any other.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::User, Self::Service, Self::Agent].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One link of a delegation chain: who acts for the subject (`act`, RFC 8693 section 4.1).
///
/// On a span it is written `kind:id`, outermost (most recent) actor first:
///
/// ```
/// use hopseal_identity::{Actor, Kind};
/// let actor = Actor::parse("agent:planner");
/// assert_eq!((actor.kind, actor.id), (Some(Kind::Agent), "planner"));
/// assert_eq!(Actor::parse("spiffe://example.org/orders").kind, None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor<'a> {
    /// Its kind, when it is written.
    pub kind: Option<Kind>,
    /// Its id.
    pub id: &'a str,
}

impl<'a> Actor<'a> {
    /// Reads `kind:id`; text without a known kind is all id.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        match text.split_once(':').and_then(|(kind, id)| Some((Kind::parse(kind)?, id))) {
            Some((kind, id)) => Self { kind: Some(kind), id },
            None => Self { kind: None, id: text },
        }
    }
}
