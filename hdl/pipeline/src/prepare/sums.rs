//! Sums of 16-bit words: checksums (RFC 1071, RFC 1624), and what stands for the flow.

use seqnic_gen::Sig;

/// Bits of a sum of 16-bit words: of 8, and of all that are added to a checksum (at most 37).
const ADDRESS_SUM: u32 = 19;
pub const SUM: u32 = 22;

/// Sum of the words of an address, or of its complement: 8 in IPv6, the low 2 in IPv4.
pub fn address_sum<'m>(address: Sig<'m>, v6: Sig<'m>) -> Sig<'m> {
    let m = address.module();
    let high = address.slice(32, 96).when(v6);
    let words = [address.trunc(32).chunks(16), high.chunks(16)].concat();
    let terms: Vec<_> = words.iter().map(|w| w.zext(ADDRESS_SUM)).collect();
    tree(&terms).unwrap_or(m.lit(ADDRESS_SUM, 0))
}

/// Sum of all terms, of one width, as a balanced tree.
fn tree<'m>(terms: &[Sig<'m>]) -> Option<Sig<'m>> {
    match terms {
        [] => None,
        [one] => Some(*one),
        _ => {
            let (a, b) = terms.split_at(terms.len() / 2);
            Some(tree(a)? + tree(b)?)
        }
    }
}

/// `~m + m'` of one word, 17 bits.
pub fn changed<'m>(old: Sig<'m>, new: Sig<'m>) -> Sig<'m> {
    (!old).add_carry(new)
}

/// The checksum which a sum stands for: end-around carry, complement.
pub fn folded(sum: Sig<'_>) -> Sig<'_> {
    !folded_twice(folded_once(sum))
}

/// [`folded`], and all ones instead of zero where `ones` is set. Zero is known beside the second carry, not behind it.
pub fn folded_or_ones<'m>(sum: Sig<'m>, ones: Sig<'m>) -> Sig<'m> {
    let once = folded_once(sum);
    let is_zero = once.slice(1, 15).all() & (once.bit(0) ^ once.bit(16));
    !folded_twice(once) | (ones & is_zero).repl(16)
}

fn folded_once(sum: Sig<'_>) -> Sig<'_> {
    sum.trunc(16).zext(17) + sum.slice(16, SUM - 16).zext(17)
}

/// The second carry, if any, cannot make a third: then the low part is small.
fn folded_twice(once: Sig<'_>) -> Sig<'_> {
    once.trunc(16) + once.bit(16).zext(16)
}

/// Exclusive or of the words of an address.
pub fn fold(address: Sig<'_>) -> Sig<'_> {
    address.module().xor(&address.chunks(16))
}
