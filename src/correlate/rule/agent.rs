//! Which spans are an agent at work, or a tool it uses.

use super::Cx;
use super::named::MOST;
use crate::field::Field;
use crate::hop::{Hop, path};
use crate::record::Span;
use crate::sink::SpanKind;
use crate::trace::SpanIx;

/// Who is at work on a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// An agent, asked to do something.
    Agent,
    /// A tool, used by one.
    Tool,
}

impl Role {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Tool => "tool",
        }
    }
}

/// An agent or tool at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AgentCall<'t> {
    pub(super) role: Role,
    /// Its name; empty when the span does not say.
    pub(super) name: &'t str,
}

/// Fields that name an operation of an agent, a tool, or a method of their protocols.
const SIGNS: u128 = Field::GenAiOperation.bit() | Field::Tool.bit() | Field::RpcMethod.bit();

/// The agent or tool at work on a span.
///
/// By the conventions for GenAI and MCP (`gen_ai.operation.name`, `mcp.method.name`); by the methods and routes of
/// MCP and A2A where only HTTP or RPC was instrumented; by the names that the A2A SDKs give their spans.
pub(super) fn call_on<'a>(cx: &Cx<'a>, ix: SpanIx) -> Option<AgentCall<'a>> {
    let span = cx.trace.span(ix);
    if let Some(call) = call_by_span(span) {
        return Some(call);
    }
    let hop = cx.hops.get(cx.hops.of_span(ix)?);
    let asked = || match hop.operation.contains('/') {
        true => Some(&*hop.operation),
        false => path(span),
    };
    let role = (hop.entry == ix && !span.has(Field::GenAiOperation)).then(|| role_of(asked()?)).flatten()?;
    Some(AgentCall { role, name: "" })
}

fn call_by_span<'t>(span: &Span<'t>) -> Option<AgentCall<'t>> {
    if !span.has_any(SIGNS) {
        return is_a2a_span(span.name).then_some(AgentCall { role: Role::Agent, name: "" });
    }
    let role = match span.get(Field::GenAiOperation) {
        Some("invoke_agent" | "invoke_workflow") => Role::Agent,
        Some("execute_tool" | "tools/call") => Role::Tool,
        Some(_) => return None,
        None if span.has(Field::Tool) => Role::Tool,
        None => role_of(span.get(Field::RpcMethod)?)?,
    };
    let (named, prefixes) = match role {
        Role::Agent => (span.get(Field::AgentName), ["invoke_agent ", "invoke_workflow "]),
        Role::Tool => (span.get(Field::Tool), ["execute_tool ", "tools/call "]),
    };
    let by_name = || prefixes.iter().find_map(|prefix| span.name.strip_prefix(prefix));
    Some(AgentCall { role, name: named.or_else(by_name).unwrap_or("") })
}

/// Whose method or route of MCP or A2A it is, under whatever prefix.
fn role_of(asked: &str) -> Option<Role> {
    const A2A: [&str; 6] = [
        "message/send",
        "message/stream",
        "message:send",
        "message:stream",
        "tasks/send",
        "tasks/sendSubscribe",
    ];
    // What all of these end with; most of what is asked does not.
    if !asked.ends_with(['l', 'd', 'm', 'e']) {
        return None;
    }
    let ends = |word: &str| {
        asked.strip_suffix(word).is_some_and(|before| before.is_empty() || before.ends_with(['/', ' ']))
    };
    match () {
        () if ends("tools/call") => Some(Role::Tool),
        () if A2A.into_iter().any(ends) => Some(Role::Agent),
        () => None,
    }
}

fn is_a2a_span(name: &str) -> bool {
    const METHODS: [&str; 4] =
        ["on_message_send", "on_message_send_stream", "send_message", "send_message_streaming"];
    name.starts_with("a2a.") && name.rsplit('.').next().is_some_and(|method| METHODS.contains(&method))
}

/// Whether a call to an agent or tool is seen at the callee as well, where it is judged.
pub(super) fn is_seen_at_callee(cx: &Cx<'_>, ix: SpanIx) -> bool {
    cx.trace.span(ix).kind == SpanKind::Client
        && cx
            .trace
            .children(ix)
            .iter()
            .take(MOST)
            .any(|child| cx.trace.span(*child).kind == SpanKind::Server && call_on(cx, *child).is_some())
}

/// The agent or tool that a hop is: at work inside it, or on the span that called it or one above that.
pub(super) fn behind<'a>(cx: &Cx<'a>, hop: &Hop<'_>) -> Option<AgentCall<'a>> {
    let frame = cx.hops.frame(hop.ix).iter().copied().take(MOST);
    let inside = frame.filter(|ix| cx.trace.span(*ix).kind != SpanKind::Client);
    let mut calls = inside.filter_map(|ix| call_on(cx, ix));
    let first = calls.next().map(|call| match call.name {
        // The entry of a tool server often says `tools/call` only, and a span inside which tool.
        "" => calls.find(|other| other.role == call.role && !other.name.is_empty()).unwrap_or(call),
        _ => call,
    });
    first.or_else(|| {
        let caller = hop.caller?;
        std::iter::successors(hop.exit, |ix| cx.trace.parent_span(*ix))
            .take(MOST)
            .take_while(|ix| cx.hops.of_span(*ix) == Some(caller))
            .filter_map(|ix| call_on(cx, ix))
            .find(|call| call.role == Role::Tool)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::each;

    #[test]
    fn who_is_at_work() {
        let agent = |name| Some(AgentCall { role: Role::Agent, name });
        let tool = |name| Some(AgentCall { role: Role::Tool, name });
        for (span, expected) in [
            ("SERVER run gen_ai.operation.name=invoke__agent gen_ai.agent.name=planner", agent("planner")),
            ("INTERNAL invoke_agent planner gen_ai.operation.name=invoke__agent", agent("planner")),
            ("INTERNAL execute_tool book gen_ai.operation.name=execute__tool", tool("book")),
            ("INTERNAL x gen_ai.tool.name=book", tool("book")),
            ("SERVER tools/call book mcp.method.name=tools/call", tool("book")),
            ("SERVER POST /mcp/tools/call http.route=/mcp/tools/call", tool("")),
            ("SERVER POST url.path=/mcp/tools/call", tool("")),
            ("SERVER POST /v1/message:send url.path=/v1/message:send", agent("")),
            ("CLIENT message/send rpc.method=message/send", agent("")),
            ("INTERNAL a2a.server.request_handlers.DefaultRequestHandler.on_message_send", agent("")),
            ("INTERNAL a2a.server.events.EventQueue.enqueue", None),
            ("CLIENT chat m gen_ai.operation.name=chat gen_ai.agent.name=planner", None),
            ("SERVER initialize mcp.method.name=initialize", None),
            ("SERVER POST /hooks/mytools/call http.route=/hooks/mytools/call", None),
            ("SERVER GET /orders http.route=/orders", None),
        ] {
            each(&format!("a {span}"), &Default::default(), |_, cx| {
                assert_eq!(call_on(cx, cx.trace.indices().next().expect("a span")), expected, "{span}");
            });
        }
    }
}
