//! Reads and writes of a frame. All are behind a check of the length; that they cannot panic
//! whatever happens is the second line of defence.

#[inline(always)]
pub(crate) fn bytes<const N: usize>(frame: &[u8], at: usize) -> [u8; N] {
    match frame.get(at..).and_then(|rest| rest.first_chunk::<N>()) {
        Some(found) => *found,
        None => [0; N],
    }
}

#[inline(always)]
pub(crate) fn byte(frame: &[u8], at: usize) -> u8 {
    bytes::<1>(frame, at)[0]
}

#[inline(always)]
pub(crate) fn be16(frame: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes(frame, at))
}

#[inline(always)]
pub(crate) fn be32(frame: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes(frame, at))
}

/// Writes that reach past the end are left out.
#[inline(always)]
pub(crate) fn put(to: &mut [u8], at: usize, from: &[u8]) {
    if let Some(place) = to.get_mut(at..at + from.len()) {
        place.copy_from_slice(from);
    }
}
