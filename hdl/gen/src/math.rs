//! Word-level arithmetic over GF(2): carry-less products and CRC-32C.

use std::panic::Location;

use crate::bits::Bits;
use crate::error::ErrorKind;
use crate::node::{Linear, Op};
use crate::sig::Sig;

/// The upper `bits` bits of the low half of a carry-less product: of the product of two polynomials
/// over GF(2), modulo x^w, where w is the width of both operands (32 in the hash functions).
///
/// The second operand is given with its bits reversed. So each bit of the product is the parity of
/// one masked word: an exclusive or tree in hardware, three instructions in a simulation.
#[track_caller]
pub fn clmul_top<'m>(a: Sig<'m>, reversed: Sig<'m>, bits: u32) -> Sig<'m> {
    let (m, at) = (a.module(), Location::caller());
    let width = a.width();
    if !m.same_width("clmul_top", a, reversed, at) {
        return m.poison(at, bits.max(1));
    }
    let parities: Vec<_> = (width - bits.min(width)..width)
        .rev()
        .map(|i| (a & reversed.shr(width - 1 - i)).parity())
        .collect();
    match parities.is_empty() {
        true => m.fail(at, 1, ErrorKind::Empty("clmul_top")),
        false => m.concat(&parities),
    }
}

/// The linear part of a bit matrix product: bit `i` of the result is the parity of the bits of `x`
/// which `rows[i]` selects. Each row has the width of `x`.
///
/// The same gates either way; what differs is how many word operations a simulation takes. A wide `x` and a narrow
/// result are cheaper as parities of masked words, a narrow `x` as the sum of what each of its bits contributes.
#[track_caller]
pub fn matrix<'m>(x: Sig<'m>, rows: &[Bits]) -> Sig<'m> {
    let m = x.module();
    // Up to 64 bits are one word to Verilator, more are words of 32.
    let words = |bits: u32| match bits {
        0..=64 => 1,
        _ => bits.div_ceil(32),
    };
    let (wide, result) = (x.width(), rows.len() as u32);
    // Instructions of what comes out, as counted: a masked word takes two and a parity with its place three; a
    // contribution five a word, and its bit two.
    let by_rows = result * (2 * words(wide) + 3);
    let by_columns = wide * (5 * words(result) + 2);
    if rows.is_empty() {
        return m.fail(Location::caller(), 1, ErrorKind::Empty("matrix"));
    }
    let column = |bit: u32| {
        let mut column = Bits::zero(result);
        for (i, row) in rows.iter().enumerate() {
            column.set_bit(i as u32, row.bit(bit));
        }
        column
    };
    let columns: Vec<Bits> = (0..wide).map(column).collect();
    let nodes = m.inner.borrow().nodes.len();
    let product = if by_rows <= by_columns {
        let parities: Vec<_> = rows.iter().rev().map(|row| x.parity_of(row)).collect();
        m.concat(&parities)
    } else {
        let contributions: Vec<_> = (0..wide)
            .zip(&columns)
            .map(|(bit, column)| x.bit(bit).repl(result) & m.lit_bits(column))
            .collect();
        m.xor(&contributions)
    };
    let mut inner = m.inner.borrow_mut();
    let made = matches!(inner.node(product.id).op, Op::Concat(_) | Op::Bin(..));
    if made && product.id as usize >= nodes && wide >= WORTH_A_TABLE {
        let of = x.id;
        inner.nodes[product.id as usize].linear = Some(Linear { of, columns });
    }
    drop(inner);
    product
}

/// Bits of a value from which on a simulator looks sums up in tables.
const WORTH_A_TABLE: u32 = 4;

/// CRC-32C (Castagnoli, reflected, initial value and final exclusive or 0xFFFFFFFF) of a value taken
/// as bytes, least significant byte first, zero-padded at its top to whole bytes. 32 bits, no clock.
#[track_caller]
pub fn crc32c(x: Sig<'_>) -> Sig<'_> {
    let bytes = x.width().div_ceil(8);
    let padded = x.zext(bytes * 8);
    // The CRC is affine in the message: its value for zeros, plus a column for each message bit.
    let zeros = vec![0u8; bytes as usize];
    let constant = crc32c_of(&zeros);
    let mut rows = vec![Bits::zero(padded.width()); 32];
    for bit in 0..padded.width() {
        let mut message = zeros.clone();
        message[bit as usize / 8] = 1 << (bit % 8);
        let column = crc32c_of(&message) ^ constant;
        for (i, row) in rows.iter_mut().enumerate() {
            row.set_bit(bit, column >> i & 1 == 1);
        }
    }
    matrix(padded, &rows) ^ x.module().lit(32, constant.into())
}

/// CRC-32C of bytes, in software: the meaning of [`crc32c`].
pub fn crc32c_of(bytes: &[u8]) -> u32 {
    const REFLECTED_POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| {
            c >> 1 ^ if c & 1 == 1 { REFLECTED_POLYNOMIAL } else { 0 }
        })
    })
}
