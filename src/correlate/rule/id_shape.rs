//! How an id is spelled: whether two ids can be compared at all, and whether they are one id spelled twice.
//!
//! Services name one user by a UUID here, an e-mail address there and `user:42` elsewhere. Two ids tell two
//! principals apart only where both are spelled alike.

/// What an id is without its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// 32 hexadecimal digits, with or without dashes.
    Uuid,
    /// An e-mail address.
    Email,
    /// Digits only.
    Number,
    /// Anything long that holds digits: hashes, tokens, pseudonyms. Of one length.
    Opaque(usize),
    /// Anything else.
    Word,
}

/// An id taken apart: `user:42`, `u-00042` and `auth0|5f7c8e` each have a prefix that names a space of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IdShape<'a> {
    prefix: &'a str,
    form: Form,
    rest: &'a str,
}

/// Ends a prefix wherever it stands.
const ENDS_PREFIX: [char; 4] = [':', '|', '#', '/'];

impl<'a> IdShape<'a> {
    pub(super) fn of(id: &'a str) -> Self {
        let id = id.trim().trim_matches(['{', '}']);
        let (mut prefix, mut rest) = id.rfind(ENDS_PREFIX).map_or(("", id), |at| id.split_at(at + 1));
        if rest.is_empty() {
            (prefix, rest) = ("", id);
        }
        let mut form = Form::of(rest);
        if prefix.is_empty()
            && matches!(form, Form::Opaque(_) | Form::Word)
            && let Some((head, tail)) = coded(id)
        {
            (prefix, rest, form) = (head, tail, Form::of(tail));
        }
        Self { prefix, form, rest }
    }

    /// Whether both are spelled the same way, so that they can be compared.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        self.form == other.form && self.prefix.eq_ignore_ascii_case(other.prefix)
    }

    /// Whether the spelling itself says which space the id is from, whatever the key it stands under.
    pub(super) fn names_its_space(&self) -> bool {
        !self.prefix.is_empty() || self.form == Form::Email
    }

    /// Whether it is an e-mail address.
    pub(super) fn is_email(&self) -> bool {
        self.form == Form::Email
    }

    /// Whether the two name different spaces, as `user:1234` and `admin:1234` do.
    pub(super) fn is_in_another_space(&self, other: &Self) -> bool {
        !self.prefix.is_empty()
            && !other.prefix.is_empty()
            && self.form != Form::Uuid
            && !self.prefix.eq_ignore_ascii_case(other.prefix)
    }

    /// Whether both may well be one id: equal but for case, dashes of a UUID, a prefix or a mail domain.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        /// A shorter rest than this, under two prefixes, tells nothing: `user:1` is not `app:1`.
        const TELLING: usize = 4;
        let prefixes_agree = self.prefix.is_empty()
            || other.prefix.is_empty()
            || self.prefix.eq_ignore_ascii_case(other.prefix)
            || self.rest.len() >= TELLING;
        match (self.form, other.form) {
            (Form::Uuid, Form::Uuid) => hex_digits(self.rest).eq(hex_digits(other.rest)),
            (Form::Email, Form::Word | Form::Opaque(_)) => is_local_part(other.rest, self.rest),
            (Form::Word | Form::Opaque(_), Form::Email) => is_local_part(self.rest, other.rest),
            _ => prefixes_agree && self.rest.eq_ignore_ascii_case(other.rest),
        }
    }
}

impl Form {
    fn of(text: &str) -> Self {
        const LONG: usize = 16;
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        if text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.')) {
            Self::Email
        } else if digits > 0 && digits == text.len() {
            Self::Number
        } else if hex_digits(text).count() == 32
            && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        {
            Self::Uuid
        } else if digits > 0 && text.len() >= LONG {
            Self::Opaque(text.len())
        } else {
            Self::Word
        }
    }
}

/// Splits ids such as `u-00042` and `cus_Nff8`: letters, then a last part that holds a digit.
fn coded(id: &str) -> Option<(&str, &str)> {
    let (head, tail) = id.split_at(id.rfind(['-', '_'])? + 1);
    let is_head = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_');
    let named = head.bytes().any(|byte| byte.is_ascii_alphabetic()) && head.bytes().all(is_head);
    (named && tail.bytes().any(|byte| byte.is_ascii_digit())).then_some((head, tail))
}

fn hex_digits(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().filter(u8::is_ascii_hexdigit).map(|byte| byte.to_ascii_lowercase())
}

fn is_local_part(word: &str, email: &str) -> bool {
    email.split_once('@').is_some_and(|(local, _)| local.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs() {
        const UUID: &str = "ed7d0ad1-4211-4e9c-8278-0123456789ab";
        for (a, b, alike, may_be) in [
            ("alice", "bob", true, false),
            ("alice", "Alice", true, true),
            ("alice", "alice@example.com", false, true),
            ("bob", "alice@example.com", false, false),
            ("a@example.com", "b@example.com", true, false),
            ("u-00001", "u-00002", true, false),
            ("u-00001", "acct-00001", false, true),
            ("u-00001", "acct-00002", false, false),
            ("u-00001", "linked-u-00002", false, false),
            ("user:1", "app:1", false, false),
            ("user:1", "user:2", true, false),
            ("42", "43", true, false),
            ("42", "user:42", false, true),
            (UUID, "ED7D0AD142114E9C82780123456789AB", true, true),
            (UUID, "user_uuid:ed7d0ad1-4211-4e9c-8278-0123456789ab", false, true),
            (UUID, "ed7d0ad1-4211-4e9c-8278-0123456789ac", true, false),
            ("user_uuid:ed7d", "installedapp:86ee", false, false),
            ("auth0|5f7c8ec7c33c6c004bbafe82", "auth0|5f7c8ec7c33c6c004bbafe83", true, false),
            ("5f7c8ec7c33c6c004bbafe82", "5f7c8ec7c33c6c004", false, false),
            ("42", "alice", false, false),
        ] {
            for (a, b) in [(a, b), (b, a)] {
                let (one, other) = (IdShape::of(a), IdShape::of(b));
                assert_eq!(one.is_alike(&other), alike, "{a} is alike {b}");
                assert_eq!(one.may_be(&other), may_be, "{a} may be {b}");
            }
        }
    }

    #[test]
    fn any_text_is_itself() {
        use proptest::prelude::*;
        proptest!(|(id in ".*")| {
            let shape = IdShape::of(&id);
            prop_assert!(shape.is_alike(&shape));
            prop_assert!(shape.may_be(&shape));
        });
    }
}
