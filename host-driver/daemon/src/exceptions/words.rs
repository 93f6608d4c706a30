//! Edits of 16-bit words under checksums (RFC 1624, equation 3).

/// Word at `at`; bytes behind the end are 0.
pub fn get(bytes: &[u8], at: usize) -> u16 {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    u16::from_be_bytes([byte(at), byte(at + 1)])
}

/// A checksum after a word it covers has changed.
pub fn updated(checksum: u16, was: u16, now: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!was) + u32::from(now);
    let sum = (sum & 0xFFFF) + (sum >> 16);
    !((sum & 0xFFFF) + (sum >> 16)) as u16
}

/// The internet checksum of `bytes` (RFC 1071), `sum` being what else it covers.
pub fn checksum(bytes: &[u8], sum: u32) -> u16 {
    let sum = bytes.chunks(2).fold(sum, |sum, pair| {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        let sum = sum + u32::from(word);
        (sum & 0xFFFF) + (sum >> 16)
    });
    !((sum & 0xFFFF) + (sum >> 16)) as u16
}

/// Bytes under checksums.
pub struct Covered<'a> {
    pub bytes: &'a mut [u8],
    /// Where the checksum over all of them stands.
    pub over: usize,
}

impl Covered<'_> {
    /// Changes a word, and with it the checksum over all and those at `others`. A word that is not there
    /// stays so.
    pub fn put(&mut self, at: usize, now: u16, others: &[usize]) {
        if at + 2 > self.bytes.len() {
            return;
        }
        let was = get(self.bytes, at);
        if was == now {
            return;
        }
        self.store(at, was, now);
        for other in others {
            if other + 2 <= self.bytes.len() {
                let sum = get(self.bytes, *other);
                self.store(*other, sum, updated(sum, was, now));
            }
        }
    }

    fn store(&mut self, at: usize, was: u16, now: u16) {
        self.bytes[at..at + 2].copy_from_slice(&now.to_be_bytes());
        let over = updated(get(self.bytes, self.over), was, now);
        if self.over + 2 <= self.bytes.len() {
            self.bytes[self.over..self.over + 2].copy_from_slice(&over.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updating_is_as_good_as_counting_anew() {
        let mut bytes: Vec<u8> = (0..64u8).map(|b| b.wrapping_mul(37)).collect();
        bytes[2] = 0;
        bytes[3] = 0;
        let sum = checksum(&bytes, 0);
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut covered = Covered {
            bytes: &mut bytes,
            over: 2,
        };
        covered.put(10, 0xBEEF, &[20]);
        covered.put(62, 0x0001, &[]);
        covered.put(63, 0x1234, &[]);
        assert_eq!(checksum(&bytes, 0), 0);
        assert_eq!(get(&bytes, 10), 0xBEEF);
    }
}
