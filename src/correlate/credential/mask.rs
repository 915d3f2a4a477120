//! What is shown instead of a credential, and how that is known again.
//!
//! ```text
//! eyJh...[812]   its first four characters, if it has 24 or more, and its length in characters
//! ```
//! Anyone can write this form, so it excuses no more than it shows: four characters at most, and only as the whole
//! word or value. Text that goes on before or after it is looked at like any other.

use super::Hit;

/// What a masked credential has instead of its middle and end, before its length in brackets.
const CUT: &str = "...[";
/// Characters shown of a credential that is long enough.
const HEAD: usize = 4;
/// Shortest credential of which anything is shown.
const LONG: usize = 24;
/// Digits of the greatest length: more could be a secret themselves.
const MAX_DIGITS: usize = 9;

/// `text` with its `hits` masked.
pub(crate) fn mask(text: &str, hits: &[Hit]) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    for hit in hits {
        masked.push_str(text.get(at..hit.start).unwrap_or(""));
        masked.push_str(&shown(text, hit));
        at = hit.end;
    }
    masked.push_str(text.get(at..).unwrap_or(""));
    masked
}

/// The credential of `hit` as it may be shown: at most its first four characters, and its length.
///
/// Characters that are not seen, such as those that part the fields of a record, are shown as U+FFFD.
pub(crate) fn shown(text: &str, hit: &Hit) -> String {
    let token = text.get(hit.start..hit.end).unwrap_or("");
    let count = token.chars().count();
    let head = if count >= LONG && hit.class != "password" { HEAD } else { 0 };
    let seen = |c: char| if c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric() { c } else { '\u{fffd}' };
    let head: String = token.chars().take(head).map(seen).collect();
    format!("{head}{CUT}{count}]")
}

/// Whether text ends like a masked credential: to name an operation by, and never to let a credential pass.
pub(crate) fn is_masked(text: &str) -> bool {
    text.rfind(CUT).and_then(|at| text.get(at..)).is_some_and(|end| prefix_len(end) == Some(end.len()))
}

/// Whether text is what [`shown`] makes of a credential, and nothing else.
pub(super) fn is_mask(text: &str) -> bool {
    prefix_len(text) == Some(text.len())
}

/// Length of what [`shown`] makes of a credential, where text begins with that.
pub(super) fn prefix_len(text: &str) -> Option<usize> {
    let head = text.char_indices().nth(HEAD).map_or(text.len(), |(at, _)| at);
    // What is shown of a credential may look like the cut itself.
    length_after(text, head).filter(|count| *count >= LONG).map_or_else(
        || length_after(text, 0).map(|count| CUT.len() + count.to_string().len() + 1),
        |count| Some(head + CUT.len() + count.to_string().len() + 1),
    )
}

/// The length that stands in brackets after the first `head` bytes and the cut.
fn length_after(text: &str, head: usize) -> Option<usize> {
    let rest = text.get(head..)?.strip_prefix(CUT)?;
    let digits = rest.bytes().take(MAX_DIGITS + 1).take_while(u8::is_ascii_digit).count();
    let (count, after) = rest.split_at_checked(digits)?;
    let is_length = digits <= MAX_DIGITS && !count.starts_with('0') && after.starts_with(']');
    count.parse().ok().filter(|_| is_length)
}

/// Where hits in masked text are in the text that was masked.
pub(super) struct Places<'t> {
    text: &'t str,
    /// First byte and one past the last: in the masked text, in the text itself.
    masks: Vec<[usize; 4]>,
}

impl<'t> Places<'t> {
    /// For `text` with its `hits` masked.
    pub(super) fn new(text: &'t str, hits: &[Hit]) -> Self {
        let (mut at, mut to) = (0, 0);
        let masks = hits.iter().map(|hit| {
            let start = to + (hit.start - at);
            (at, to) = (hit.end, start + shown(text, hit).len());
            [start, to, hit.start, hit.end]
        });
        Self { text, masks: masks.collect() }
    }

    /// What `hit` covers of the text itself; all of a credential if it covers any of its mask.
    pub(super) fn origin(&self, hit: Hit) -> Hit {
        let before = self.masks.iter().take_while(|[_, to, ..]| *to <= hit.start).last();
        let start = match self.masks.iter().find(|[start, to, ..]| (*start..*to).contains(&hit.start)) {
            Some([_, _, start, _]) => *start,
            None => before.map_or(hit.start, |[_, to, _, end]| end + (hit.start - to)),
        };
        let before = self.masks.iter().take_while(|[_, to, ..]| *to <= hit.end).last();
        let end = match self.masks.iter().find(|[start, to, ..]| *start < hit.end && hit.end <= *to) {
            Some([_, _, _, end]) => *end,
            None => before.map_or(hit.end, |[_, to, _, end]| end + (hit.end - to)),
        };
        Hit { start, end: end.min(self.text.len()), ..hit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_here_is_a_mask() {
        for (text, is) in [
            ("...[7]", true),
            ("eyJh...[812]", true),
            ("\u{fffd}\u{e9}a ...[24]", true),
            ("...[123456789]", true),
            ("...[...[48]", true),
            ("...[...[8]", false),
            ("eyJhb...[812]", false),
            ("eyJ...[812]", false),
            ("eyJh...[23]", false),
            ("eyJh...[0812]", false),
            ("...[1234567890]", false),
            ("...[]", false),
            ("...[7", false),
            ("...[7]x", false),
            ("x...[7]", false),
            ("hunter2...[", false),
            ("", false),
        ] {
            assert_eq!(is_mask(text), is, "{text}");
        }
    }

    #[test]
    fn what_is_not_seen_is_not_shown() {
        let text = format!("\0z\u{202e}a{}", "a".repeat(30));
        let hit = Hit { class: "secret", start: 0, end: text.len(), ground: super::super::Ground::Name };
        assert_eq!(shown(&text, &hit), "\u{fffd}z\u{fffd}a...[34]");
    }
}
