//! RSA keys that must not be trusted though their form is in order.

/// Fewest bits of a modulus (RFC 7518 section 3.3).
const MIN_BITS: usize = 2048;
/// Most: verifying costs time in proportion to their square.
const MAX_BITS: usize = 8192;
/// Smallest exponent (FIPS 186-5 section 5.4 asks for more than 2^16). With 1 anyone can sign.
const MIN_EXPONENT: u64 = 65_537;

/// The primes by which moduli of CVE-2017-15361 (ROCA) are told: modulo each of them, such a modulus is a power of 65537.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Why an RSA key with this modulus and exponent, big-endian, is weak.
pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<&'static str> {
    let (Some(first), Some(last)) = (modulus.first(), modulus.last()) else { return Some("no modulus") };
    if *first == 0 || exponent.first().is_none_or(|first| *first == 0) {
        return Some("a number with zeros in front"); // RFC 7518 section 2, Base64urlUInt
    }
    let bits = modulus.len().saturating_mul(8).saturating_sub(first.leading_zeros() as usize);
    if !(MIN_BITS..=MAX_BITS).contains(&bits) {
        return Some("a modulus of fewer than 2048 or more than 8192 bits");
    }
    if last % 2 == 0 {
        return Some("an even modulus");
    }
    if exponent.len() > 4 {
        return Some("an exponent of more than 32 bits");
    }
    let exponent = exponent.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    if exponent < MIN_EXPONENT || exponent % 2 == 0 {
        return Some("an exponent under 65537, or even");
    }
    PRIMES
        .iter()
        .all(|prime| is_power(remainder(modulus, *prime), *prime))
        .then_some("a modulus of CVE-2017-15361 (ROCA)")
}

fn remainder(number: &[u8], prime: u32) -> u32 {
    number.iter().fold(0, |rest, byte| (rest << 8 | u32::from(*byte)) % prime)
}

/// Whether `residue` is a power of 65537 modulo `prime`.
fn is_power(residue: u32, prime: u32) -> bool {
    let step = 65_537 % prime;
    let powers = std::iter::successors(Some(1), |power| Some(power * step % prime));
    powers.take(prime as usize).any(|power| power == residue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_and_sound() {
        let e = [1, 0, 1];
        let mut n = vec![0xc5; 256];
        assert_eq!(rsa(&n, &e), None);
        for (exponent, weak) in [
            (&[1][..], true),
            (&[3], true),
            (&[1, 0, 0], true),
            (&[1, 0, 2], true),
            (&[0, 1, 0, 1], true),
            (&[], true),
        ] {
            assert_eq!(rsa(&n, exponent).is_some(), weak, "{exponent:?}");
        }
        assert!(rsa(&n, &[1, 0, 0, 0, 1]).is_some());
        n[255] = 0xc4;
        assert_eq!(rsa(&n, &e), Some("an even modulus"));
        for (length, weak) in
            [(64, true), (128, true), (255, true), (256, false), (1024, false), (1025, true)]
        {
            assert_eq!(rsa(&vec![0xc5; length], &e).is_some(), weak, "{length} bytes");
        }
        assert!(rsa(&[], &e).is_some());
    }
}
