//! The wire format of protobuf: <https://protobuf.dev/programming-guides/encoding/>.

/// What a field holds, as the wire tells it. What it means is for the message to say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
    /// A group, long deprecated; nothing of OTLP is one.
    Group,
    /// As [`Wire::Bytes`], but its length runs past the end of what holds it: what is there of it.
    Cut(&'a [u8]),
}

/// What is wrong, for people.
pub(crate) type Reason = &'static str;

pub(crate) const CUT: Reason = "cut short: a length runs past the end of what holds it";
pub(crate) const WIRE_TYPE: Reason = "a field has the wrong wire type";
const BAD_TAG: Reason = "not protobuf: a field number or wire type that does not exist";
const BAD_VARINT: Reason = "not protobuf: a varint that does not end";
const BAD_GROUP: Reason = "not protobuf: a group that does not end";
const BAD_FIXED: Reason = "cut short: a fixed-size number runs past the end of what holds it";

/// The fields of one message, in the order in which they were written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next field, if it has this tag of one byte, is length-delimited and is shorter than 128 bytes.
    #[inline(always)]
    pub(crate) fn short(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&[found, length @ ..0x80], rest) = self.0.split_first_chunk()? else { return None };
        if found != tag {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some(bytes)
    }

    /// The next field, if it has this tag of one byte and is a number of eight bytes.
    #[inline(always)]
    pub(crate) fn eight(&mut self, tag: u8) -> Option<u64> {
        let (&[found, ref bytes @ ..], rest) = self.0.split_first_chunk::<9>()?;
        if found != tag {
            return None;
        }
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    /// The next field, if it has this tag of one byte and is a number of seven bits.
    #[inline(always)]
    pub(crate) fn small(&mut self, tag: u8) -> Option<u64> {
        let (&[found, number @ ..0x80], rest) = self.0.split_first_chunk()? else { return None };
        if found != tag {
            return None;
        }
        self.0 = rest;
        Some(u64::from(number))
    }

    /// The next field's number and value. After an error nothing can be told of the rest.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, Reason> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (number, kind) = self.tag()?;
        let wire = match kind {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => self.bytes()?,
            3 => self.group()?,
            5 => Wire::Fixed32(u32::from_le_bytes(self.fixed()?)),
            _ => return Err(BAD_TAG),
        };
        Ok(Some((number, wire)))
    }

    #[inline(always)]
    fn tag(&mut self) -> Result<(u32, u8), Reason> {
        let tag = u32::try_from(self.varint()?).map_err(|_| BAD_TAG)?;
        if tag < 8 {
            return Err(BAD_TAG);
        }
        Ok((tag >> 3, (tag & 7) as u8))
    }

    #[inline(always)]
    fn varint(&mut self) -> Result<u64, Reason> {
        // Nearly all are of one or two bytes.
        match *self.0 {
            [byte @ ..0x80, ref rest @ ..] => {
                self.0 = rest;
                Ok(u64::from(byte))
            }
            [low, high @ ..0x80, ref rest @ ..] => {
                self.0 = rest;
                Ok(u64::from(low & 0x7f) | u64::from(high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Reason> {
        let mut value = 0;
        for (index, &byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                // The tenth byte has room for the 64th bit only.
                if index == 9 && byte > 1 {
                    break;
                }
                self.0 = self.0.get(index + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(BAD_VARINT)
    }

    #[inline(always)]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(BAD_FIXED)?;
        self.0 = rest;
        Ok(*bytes)
    }

    #[inline(always)]
    fn bytes(&mut self) -> Result<Wire<'a>, Reason> {
        let length = self.varint()?;
        match usize::try_from(length).ok().and_then(|length| self.0.split_at_checked(length)) {
            Some((bytes, rest)) => {
                self.0 = rest;
                Ok(Wire::Bytes(bytes))
            }
            None => Ok(Wire::Cut(std::mem::take(&mut self.0))),
        }
    }

    /// Steps over a group and the groups inside it, counting them: depth costs nothing.
    fn group(&mut self) -> Result<Wire<'a>, Reason> {
        let mut open = 1u64;
        while open > 0 {
            match self.tag()?.1 {
                0 => _ = self.varint()?,
                1 => _ = self.fixed::<8>()?,
                2 => match self.bytes()? {
                    Wire::Cut(_) => return Err(BAD_GROUP),
                    _whole => {}
                },
                3 => open += 1,
                4 => open -= 1,
                5 => _ = self.fixed::<4>()?,
                _ => return Err(BAD_TAG),
            }
        }
        Ok(Wire::Group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(u32, Wire<'_>)>, Reason> {
        let mut fields = Fields::of(bytes);
        std::iter::from_fn(|| fields.next().transpose()).collect()
    }

    #[test]
    fn fields() {
        for (bytes, expected) in [
            (&b""[..], Ok(vec![])),
            (b"\x08\x96\x01", Ok(vec![(1, Wire::Varint(150))])),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Ok(vec![(1, Wire::Varint(u64::MAX))])),
            (b"\x12\x02hi\x1a\x00", Ok(vec![(2, Wire::Bytes(b"hi")), (3, Wire::Bytes(b""))])),
            (b"\x85\x01\x01\x01\x00\x00", Ok(vec![(16, Wire::Fixed32(0x101))])),
            (b"\x39\x01\x00\x00\x00\x00\x00\x00\x80", Ok(vec![(7, Wire::Fixed64(1 << 63 | 1))])),
            (b"\x12\x05hi", Ok(vec![(2, Wire::Cut(b"hi"))])),
            (b"\x0b\x13\x08\x01\x14\x12\x01x\x0c\x08\x01", Ok(vec![(1, Wire::Group), (1, Wire::Varint(1))])),
            (b"\x00\x01", Err(BAD_TAG)),
            (b"\x0f", Err(BAD_TAG)),
            (b"\x0c", Err(BAD_TAG)),
            (b"\xff\xff\xff\xff\xff\x01\x01", Err(BAD_TAG)),
            (b"\x08\x80", Err(BAD_VARINT)),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", Err(BAD_VARINT)),
            (b"\x39\x01\x02", Err(BAD_FIXED)),
            (b"\x0b\x08\x01", Err(BAD_VARINT)),
            (b"\x0b\x12\x09", Err(BAD_GROUP)),
        ] {
            assert_eq!(all(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    /// A million groups in each other take no stack and one pass.
    #[test]
    fn deep_groups() {
        let mut bytes = vec![0x0b; 1_000_000];
        assert!(all(&bytes).is_err());
        bytes.resize(2_000_000, 0x0c);
        assert_eq!(all(&bytes), Ok(vec![(1, Wire::Group)]));
    }
}
