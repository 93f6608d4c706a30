//! Word-level arithmetic over GF(2): carry-less products and CRC-32C.

use std::panic::Location;

use crate::bits::Bits;
use crate::error::ErrorKind;
use crate::sig::Sig;

/// Low half of the carry-less product: the product of two polynomials over GF(2), modulo x^w, where
/// w is the width of both operands (32 in the hash functions) and of the result.
///
/// One masked word per bit of `b`; no per-bit logic is printed.
#[track_caller]
pub fn clmul_low<'m>(a: Sig<'m>, b: Sig<'m>) -> Sig<'m> {
    let m = a.module();
    if !m.same_width("clmul_low", a, b, Location::caller()) {
        return m.poison(Location::caller(), a.width());
    }
    let terms: Vec<_> = b
        .bits()
        .into_iter()
        .enumerate()
        .map(|(i, bit)| a.shl(i as u32).when(bit))
        .collect();
    m.xor(&terms)
}

/// The linear part of a bit matrix product: bit `i` of the result is the parity of the bits of `x`
/// which `rows[i]` selects. Each row has the width of `x`.
#[track_caller]
pub fn matrix<'m>(x: Sig<'m>, rows: &[Bits]) -> Sig<'m> {
    let m = x.module();
    let parities: Vec<_> = rows.iter().rev().map(|row| x.parity_of(row)).collect();
    match parities.is_empty() {
        true => m.fail(Location::caller(), 1, ErrorKind::Empty("matrix")),
        false => m.concat(&parities),
    }
}

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
