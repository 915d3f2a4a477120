//! The closed list of facts kept of a span: what attributes of any dialect are mapped to.

use hopseal_identity::attribute;

macro_rules! fields {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal;)+) => {
        /// One fact kept of a span. Dialects map attribute keys to these; everything else is looked through for
        /// credentials and forgotten.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Field { $($(#[doc = $doc])+ $name,)+ }

        impl Field {
            /// Every field, in the order of the enum.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The name used in dialect files.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }
    };
}

fields! {
    // Who. The order is the order of preference when one span names several.
    /// A user's id.
    User = "user";
    /// A user's pseudonym.
    UserPseudonym = "user_pseudonym";
    /// A principal that may be a user or an app.
    Principal = "principal";
    /// A user's name.
    UserName = "user_name";
    /// A user's e-mail address.
    UserEmail = "user_email";
    /// An OAuth client or other service principal.
    Client = "client";
    /// An agent's id.
    Agent = "agent";
    /// An agent's name.
    AgentName = "agent_name";
    /// Session id.
    Session = "session";
    /// Tenant.
    Tenant = "tenant";
    /// A role of the principal; several allowed.
    Role = "role";
    /// An OAuth scope, or several separated by spaces; several allowed.
    Scope = "scope";
    /// Issuer of the identity.
    Issuer = "issuer";
    /// Somebody acting for the subject; several allowed.
    Actor = "actor";
    /// A framework's word for the kind of authentication (Spring's `authentication.type`).
    AuthType = "auth_type";
    /// A framework's word on whether the caller is authenticated, `true` or `false`.
    Authenticated = "authenticated";
    /// A framework's authorization decision.
    AuthDecision = "auth_decision";

    // What this crate writes.
    /// `hopseal.sub`.
    Sub = "hopseal_sub";
    /// `hopseal.kind`.
    Kind = "hopseal_kind";
    /// `hopseal.iss`.
    Iss = "hopseal_iss";
    /// `hopseal.tenant`.
    SealedTenant = "hopseal_tenant";
    /// `hopseal.client`.
    SealedClient = "hopseal_client";
    /// `hopseal.actors`; several.
    Actors = "hopseal_actors";
    /// `hopseal.scopes`; several.
    Scopes = "hopseal_scopes";
    /// `hopseal.assurance`.
    Assurance = "hopseal_assurance";
    /// `hopseal.method`.
    Method = "hopseal_method";
    /// `hopseal.reason`.
    Reason = "hopseal_reason";
    /// `hopseal.observe`.
    Observe = "hopseal_observe";
    /// `hopseal.token_fingerprint`.
    TokenFingerprint = "hopseal_token_fingerprint";
    /// `hopseal.one_time`.
    OneTime = "hopseal_one_time";
    /// `hopseal.issued_at`.
    IssuedAt = "hopseal_issued_at";
    /// `hopseal.not_before`.
    NotBefore = "hopseal_not_before";
    /// `hopseal.expires_at`.
    ExpiresAt = "hopseal_expires_at";
    /// `hopseal.alg`.
    Alg = "hopseal_alg";
    /// `hopseal.kid`.
    Kid = "hopseal_kid";
    /// `hopseal.audience`; several.
    Audience = "hopseal_audience";
    /// `hopseal.workload`.
    Workload = "hopseal_workload";
    /// `hopseal.peer_workload`.
    PeerWorkload = "hopseal_peer_workload";
    /// `hopseal.txn`.
    Txn = "hopseal_txn";
    /// `hopseal.act`.
    Act = "hopseal_act";
    /// `hopseal.resealed`.
    Resealed = "hopseal_resealed";
    /// `hopseal.iat`.
    SealIat = "hopseal_iat";
    /// `hopseal.exp`.
    SealExp = "hopseal_exp";
    /// `hopseal.seal`.
    Seal = "hopseal_seal";
    /// `hopseal.seal_error`.
    SealError = "hopseal_seal_error";
    /// `hopseal.hop`.
    HopCounter = "hopseal_hop";
    /// `hopseal.hop_before`.
    HopBefore = "hopseal_hop_before";
    /// `hopseal.hop_after`.
    HopAfter = "hopseal_hop_after";
    /// `hopseal.leak_stopped`.
    LeakStopped = "hopseal_leak_stopped";

    // What the call was.
    /// HTTP request method.
    HttpMethod = "http_method";
    /// HTTP route (template).
    HttpRoute = "http_route";
    /// HTTP response status code.
    HttpStatus = "http_status";
    /// URL path, without query.
    UrlPath = "url_path";
    /// Whole URL or request target.
    UrlFull = "url_full";
    /// URL scheme.
    UrlScheme = "url_scheme";
    /// `http.request.resend_count`.
    ResendCount = "resend_count";
    /// RPC system.
    RpcSystem = "rpc_system";
    /// RPC service (older conventions).
    RpcService = "rpc_service";
    /// RPC method.
    RpcMethod = "rpc_method";
    /// RPC status, number or word.
    RpcStatus = "rpc_status";
    /// Messaging system.
    MessagingSystem = "messaging_system";
    /// Topic, queue or other destination.
    MessagingDestination = "messaging_destination";
    /// Messaging operation (`publish`, `process`, ...).
    MessagingOperation = "messaging_operation";
    /// Consumer group.
    MessagingGroup = "messaging_group";
    /// Database system.
    DbSystem = "db_system";
    /// Database operation.
    DbOperation = "db_operation";
    /// Database namespace.
    DbNamespace = "db_namespace";
    /// Table or collection.
    DbCollection = "db_collection";
    /// Query text.
    DbQuery = "db_query";
    /// Bucket of an object store.
    Bucket = "bucket";
    /// `service.version`.
    Version = "version";
    /// `user_agent.original`.
    UserAgent = "user_agent";
    /// `user_agent.synthetic.type`.
    Synthetic = "synthetic";
    /// `error.type`.
    ErrorType = "error_type";
    /// `gen_ai.operation.name`.
    GenAiOperation = "gen_ai_operation";
    /// Name of a tool called by an agent.
    Tool = "tool";

    // Between whom.
    /// Peer address of the socket.
    PeerAddress = "peer_address";
    /// Peer port of the socket.
    PeerPort = "peer_port";
    /// Client address as the server sees it.
    ClientAddress = "client_address";
    /// Server address.
    ServerAddress = "server_address";
    /// Server port.
    ServerPort = "server_port";
    /// Name of the called service.
    PeerService = "peer_service";
    /// TLS evidence: protocol version or cipher.
    Tls = "tls";
    /// Mesh: workload id of the source.
    SourcePrincipal = "source_principal";
    /// Mesh: workload id of the destination.
    DestinationPrincipal = "destination_principal";
    /// Mesh: connection security (`mutual_tls`, `none`).
    ConnectionSecurity = "connection_security";
    /// Proxy: its node id.
    ProxyNode = "proxy_node";
    /// Name of the proxy software that made the span (`proxy`, `envoy`, `nginx`).
    Component = "component";
    /// A captured `baggage` request header or another that carries identity out, masked.
    SentBaggage = "sent_baggage";

    // Found by intake, never mapped by a dialect.
    /// A linked span: 16 bytes trace id, 8 bytes span id.
    Link = "link";
    /// A credential seen in some value: `class NUL key NUL masked`.
    Leak = "leak";
    /// Who sent the span, where that sender may not speak for its service.
    Sender = "sender";
    /// A framework event that changes the security context.
    SecurityEvent = "security_event";
}

/// The baggage members that a seal covers, as they stand on a span, in the order they are signed.
pub const SEALED: [(Field, &str); 9] = [
    (Field::Act, attribute::ACT),
    (Field::SealExp, attribute::EXP),
    (Field::SealIat, attribute::IAT),
    (Field::Iss, attribute::ISS),
    (Field::Kind, attribute::KIND),
    (Field::Resealed, attribute::RESEALED),
    (Field::Sub, attribute::SUB),
    (Field::SealedTenant, attribute::TENANT),
    (Field::Txn, attribute::TXN),
];

impl Field {
    /// The field of that name in a dialect file; `None` for one that only intake may set.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|field| field.as_str() == name && !matches!(field, Self::Link | Self::Leak | Self::Sender))
    }

    /// The field with that number.
    #[must_use]
    pub(crate) fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Its bit in a record's mask of present fields.
    #[must_use]
    pub(crate) const fn bit(self) -> u128 {
        1 << (self as u8)
    }

    /// Whether this field names a principal.
    #[must_use]
    pub const fn names_principal(self) -> bool {
        matches!(
            self,
            Self::Principal
                | Self::User
                | Self::UserPseudonym
                | Self::UserName
                | Self::UserEmail
                | Self::Client
                | Self::Sub
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_what_identity_says() {
        assert_eq!(SEALED.map(|(_, name)| name), attribute::SEALED_MEMBERS);
    }

    #[test]
    fn fit_the_mask_and_read_back() {
        assert!(Field::ALL.len() <= 128, "the record's mask has 128 bits");
        for (number, field) in Field::ALL.iter().enumerate() {
            assert_eq!(Field::from_u8(number as u8), Some(*field));
            assert_eq!(*field as usize, number);
        }
    }
}
