//! Checksums that a sender left to its network card.

/// Completes a checksum: the field holds the sum of the pseudo header, the data starts at `start`, the
/// field stands `offset` behind it (`struct virtio_net_hdr`). Places outside the frame are left alone.
pub fn complete(frame: &mut [u8], start: usize, offset: usize) {
    let Some(data) = frame.get(start..) else {
        return;
    };
    let sum = data.chunks(2).fold(0u32, |sum, pair| {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        let sum = sum + u32::from(word);
        (sum & 0xFFFF) + (sum >> 16)
    });
    let value = match !(sum as u16) {
        // UDP: 0 would say that there is none.
        0 => 0xFFFF,
        value => value,
    };
    if let Some(field) = frame.get_mut(start + offset..start + offset + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::complete;

    #[test]
    fn a_completed_checksum_sums_to_ones() {
        // 3 bytes in front, then data of odd length with the field at 2, the pseudo header's sum in it.
        let mut frame = vec![9, 9, 9, 0x12, 0x34, 0xAB, 0xCD, 0xFF, 0x01, 0x77];
        complete(&mut frame, 3, 2);
        let sum = frame[3..].chunks(2).fold(0u32, |s, p| {
            let s = s + u32::from(u16::from_be_bytes([p[0], *p.get(1).unwrap_or(&0)]));
            (s & 0xFFFF) + (s >> 16)
        });
        // The pseudo header's sum was 0xABCD: data with the checksum and that make all ones.
        let sum = sum + 0xABCD;
        assert_eq!((sum & 0xFFFF) + (sum >> 16), 0xFFFF);
    }

    #[test]
    fn places_outside_the_frame_change_nothing() {
        for (start, offset) in [(20, 0), (3, 9), (4, 0), (usize::MAX - 8, 4)] {
            let mut frame = vec![1, 2, 3, 4, 5];
            complete(&mut frame, start, offset);
            assert_eq!(frame.len(), 5);
        }
    }
}
