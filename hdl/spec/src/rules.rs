//! How the rules of a packet find their rows: the key of a packet under the mask of a bank.
//!
//! Each bit of [`RULE_KEY`] that is set under the mask contributes a word; the digest is their sum (exclusive
//! or) and a constant, `row = hash::rule_row(digest, bank, rows)`. A bit contributes what it adds to the CRC-32C
//! of the key; but those of `server` and `port` contribute what the same bit of `client` and `client_port`
//! does, turned left by [`SECOND_TURN`]: hardware works out the sums of both addresses before it is known which of
//! them is the client's. So digests under many masks come from one list of prefixes ([`Digests`]).

use crate::hash;
use crate::layout::Row;
use crate::tables::RULE_KEY;
use std::sync::LazyLock;

/// Nibbles of an address and of a port.
pub const ADDRESS_NIBBLES: usize = 32;
pub const PORT_NIBBLES: usize = 4;

/// Which bits of the key find the row of one bank: a slot of `acl`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mask {
    /// Nibbles of the addresses, at most 32, and of the ports, at most 4, from the highest.
    pub client: u8,
    pub server: u8,
    pub client_port: u8,
    pub port: u8,
    pub protocol: bool,
    pub arrival: bool,
}

/// A key; addresses begin at the highest bit, also those of IPv4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleKey {
    pub salt: u32,
    pub v6: bool,
    pub client: u128,
    pub server: u128,
    pub client_port: u16,
    pub port: u16,
    pub protocol: u8,
    pub arrival: u16,
}

/// How far what `server` and `port` contribute is turned.
pub const SECOND_TURN: u32 = 16;

/// What bit `bit` of field `field` of a key contributes to the digest.
pub fn contribution(field: &str, bit: u32) -> u32 {
    match field {
        "server" => return contribution("client", bit).rotate_left(SECOND_TURN),
        "port" => return contribution("client_port", bit).rotate_left(SECOND_TURN),
        _ => {}
    }
    let (lo, width) = RULE_KEY.at(field);
    assert!(bit < width);
    let mut key = Row::zero(RULE_KEY.width());
    key.set(lo + bit, 1, 1);
    hash::digest(key.bytes()) ^ base()
}

/// Digest of a key of zeros.
pub fn base() -> u32 {
    hash::digest(Row::zero(RULE_KEY.width()).bytes())
}

/// Contributions of every value of every nibble, the highest nibble first.
struct Tables {
    base: u32,
    salt: Vec<[u32; 16]>,
    v6: u32,
    client: Vec<[u32; 16]>,
    server: Vec<[u32; 16]>,
    client_port: Vec<[u32; 16]>,
    port: Vec<[u32; 16]>,
    protocol: Vec<[u32; 16]>,
    arrival: Vec<[u32; 16]>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let nibbles = |field: &str| {
        let width = RULE_KEY.at(field).1;
        let of = |nibble: u32| -> [u32; 16] {
            std::array::from_fn(|value| {
                let bits = (0..4).filter(|bit| value >> bit & 1 == 1);
                let bits = bits.map(|bit| nibble * 4 + bit).filter(|bit| *bit < width);
                bits.fold(0, |sum, bit| sum ^ contribution(field, bit))
            })
        };
        (0..width.div_ceil(4)).rev().map(of).collect()
    };
    Tables {
        base: base(),
        salt: nibbles("salt"),
        v6: contribution("v6", 0),
        client: nibbles("client"),
        server: nibbles("server"),
        client_port: nibbles("client_port"),
        port: nibbles("port"),
        protocol: nibbles("protocol"),
        arrival: nibbles("arrival"),
    }
});

/// Sums of the contributions of the first so many nibbles.
fn prefixes<const N: usize>(tables: &[[u32; 16]], value: u128) -> [u32; N] {
    let mut sums = [0; N];
    let nibbles = tables.len();
    for (place, table) in tables.iter().enumerate() {
        let nibble = value >> (4 * (nibbles - 1 - place)) & 15;
        sums[place + 1] = sums[place] ^ table[nibble as usize];
    }
    sums
}

fn whole(tables: &[[u32; 16]], value: u32) -> u32 {
    let last = tables.len() - 1;
    let of =
        |(place, table): (usize, &[u32; 16])| table[(value >> (4 * (last - place)) & 15) as usize];
    tables.iter().enumerate().map(of).fold(0, |a, b| a ^ b)
}

/// The digests of one key under every mask.
#[derive(Debug, Clone, Copy)]
pub struct Digests {
    always: u32,
    client: [u32; ADDRESS_NIBBLES + 1],
    server: [u32; ADDRESS_NIBBLES + 1],
    client_port: [u32; PORT_NIBBLES + 1],
    port: [u32; PORT_NIBBLES + 1],
    protocol: u32,
    arrival: u32,
}

impl Digests {
    pub fn of(key: &RuleKey) -> Digests {
        let t = &*TABLES;
        let v6 = if key.v6 { t.v6 } else { 0 };
        Digests {
            always: t.base ^ whole(&t.salt, key.salt) ^ v6,
            client: prefixes(&t.client, key.client),
            server: prefixes(&t.server, key.server),
            client_port: prefixes(&t.client_port, key.client_port.into()),
            port: prefixes(&t.port, key.port.into()),
            protocol: whole(&t.protocol, key.protocol.into()),
            arrival: whole(&t.arrival, key.arrival.into()),
        }
    }

    /// Digest under `mask`, whose numbers of nibbles are cut to what there is.
    #[inline]
    pub fn under(&self, mask: &Mask) -> u32 {
        let nibbles = |n: u8, most: usize| usize::from(n).min(most);
        self.always
            ^ self.client[nibbles(mask.client, ADDRESS_NIBBLES)]
            ^ self.server[nibbles(mask.server, ADDRESS_NIBBLES)]
            ^ self.client_port[nibbles(mask.client_port, PORT_NIBBLES)]
            ^ self.port[nibbles(mask.port, PORT_NIBBLES)]
            ^ if mask.protocol { self.protocol } else { 0 }
            ^ if mask.arrival { self.arrival } else { 0 }
    }
}

/// For no nibbles, one, two and so on: the sums of all keys, up to the last nibble that is set in any.
fn deeper(
    tables: &[[u32; 16]],
    keys: &[RuleKey],
    field: impl Fn(&RuleKey) -> u128,
) -> Vec<Vec<u32>> {
    let set = keys.iter().fold(0, |set, key| set | field(key));
    let nibbles = tables.len();
    let last = nibbles - (set.trailing_zeros() as usize / 4).min(nibbles);
    let mut columns = vec![vec![0; keys.len()]];
    for (place, table) in tables.iter().enumerate().take(last) {
        let low = 4 * (nibbles - 1 - place);
        let more = |(sum, key)| sum ^ table[(field(key) >> low & 15) as usize];
        let column = columns[place].iter().zip(keys).map(more).collect();
        columns.push(column);
    }
    columns
}

/// The digests of many keys, by what they are made of: under one mask after another they are sums of columns.
#[derive(Debug, Default)]
pub struct Columns {
    always: Vec<u32>,
    client: Vec<Vec<u32>>,
    server: Vec<Vec<u32>>,
    client_port: Vec<Vec<u32>>,
    port: Vec<Vec<u32>>,
    protocol: Vec<u32>,
    arrival: Vec<u32>,
}

impl Columns {
    pub fn of(keys: &[RuleKey]) -> Columns {
        let t = &*TABLES;
        let whole_of = |of: &dyn Fn(&RuleKey) -> u32| keys.iter().map(of).collect();
        let v6 = |key: &RuleKey| if key.v6 { t.v6 } else { 0 };
        Columns {
            always: whole_of(&|key| t.base ^ whole(&t.salt, key.salt) ^ v6(key)),
            client: deeper(&t.client, keys, |key| key.client),
            server: deeper(&t.server, keys, |key| key.server),
            client_port: deeper(&t.client_port, keys, |key| key.client_port.into()),
            port: deeper(&t.port, keys, |key| key.port.into()),
            protocol: whole_of(&|key| whole(&t.protocol, key.protocol.into())),
            arrival: whole_of(&|key| whole(&t.arrival, key.arrival.into())),
        }
    }

    /// The columns that are summed under `mask`.
    fn summed(&self, mask: &Mask) -> impl Iterator<Item = &[u32]> {
        let nibbles = |columns: &'_ [Vec<u32>], n: u8| usize::from(n).min(columns.len() - 1);
        let prefixes = [
            (&self.client, mask.client),
            (&self.server, mask.server),
            (&self.client_port, mask.client_port),
            (&self.port, mask.port),
        ];
        let prefixes = prefixes.into_iter().filter(|(_, n)| *n > 0);
        let prefixes = prefixes.map(move |(columns, n)| &columns[nibbles(columns, n)][..]);
        let whole = [
            (&self.protocol, mask.protocol),
            (&self.arrival, mask.arrival),
        ];
        let whole = whole.into_iter().filter(|(_, set)| *set);
        std::iter::once(&self.always[..])
            .chain(prefixes)
            .chain(whole.map(|(column, _)| &column[..]))
    }

    /// Digest of one key under `mask`.
    pub fn under(&self, key: usize, mask: &Mask) -> u32 {
        self.summed(mask).fold(0, |sum, column| sum ^ column[key])
    }

    /// Digests of the keys of `range` under `mask`, added to `sums` in place of what is there.
    pub fn range_under(&self, range: std::ops::Range<usize>, mask: &Mask, sums: &mut Vec<u32>) {
        sums.clear();
        sums.resize(range.len(), 0);
        for column in self.summed(mask) {
            for (sum, word) in sums.iter_mut().zip(&column[range.clone()]) {
                *sum ^= word;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_the_digests_of_each_key() {
        let key = |n: u32| RuleKey {
            salt: n,
            v6: n % 2 == 1,
            client: u128::from(n) * 0x1234_5678_9abc_def0_0f1e_2d3c,
            server: u128::from(n) << 97,
            client_port: (n as u16).wrapping_mul(7919),
            port: n as u16 * 104,
            protocol: n as u8,
            arrival: n as u16 % 9,
        };
        let columns = Columns::of(&(0..50).map(key).collect::<Vec<_>>());
        for (protocol, arrival, n) in [(false, false, 0), (true, false, 3), (true, true, 40)] {
            let mask = Mask {
                client: n,
                server: n / 2,
                client_port: n.min(4),
                port: n / 3,
                protocol,
                arrival,
            };
            let wanted = |at: u32| Digests::of(&key(at)).under(&mask);
            let mut sums = vec![1, 2, 3];
            columns.range_under(10..50, &mask, &mut sums);
            for at in 10..50 {
                assert_eq!(columns.under(at as usize, &mask), wanted(at));
                assert_eq!(sums[at as usize - 10], wanted(at));
            }
        }
    }

    #[test]
    fn digests_are_those_of_the_masked_key() {
        let key = RuleKey {
            salt: 0xabcde,
            v6: true,
            client: 0x2001_0db8_1234_5678_9abc_def0_0f1e_2d3c,
            server: 0x2001_0db8_ffff_0000_1111_2222_3333_4444,
            client_port: 40_001,
            port: 443,
            protocol: 6,
            arrival: 0x2a5,
        };
        let digests = Digests::of(&key);
        for mask in [
            Mask::default(),
            Mask {
                client: 32,
                server: 32,
                client_port: 4,
                port: 4,
                protocol: true,
                arrival: true,
            },
            Mask {
                client: 8,
                server: 3,
                client_port: 1,
                port: 3,
                protocol: true,
                arrival: false,
            },
        ] {
            let high = |value: u128, width: u32, nibbles: u8| {
                let zero = width - 4 * u32::from(nibbles);
                value
                    .checked_shr(zero)
                    .unwrap_or(0)
                    .checked_shl(zero)
                    .unwrap_or(0)
            };
            let mut row = Row::zero(RULE_KEY.width());
            let mut set = |name, value| row.set_field(&RULE_KEY, 0, name, value);
            set("salt", key.salt.into());
            set("v6", 1);
            set("client", high(key.client, 128, mask.client));
            set("server", high(key.server, 128, mask.server));
            set(
                "client_port",
                high(key.client_port.into(), 16, mask.client_port),
            );
            set("port", high(key.port.into(), 16, mask.port));
            set(
                "protocol",
                if mask.protocol {
                    key.protocol.into()
                } else {
                    0
                },
            );
            set("arrival", if mask.arrival { key.arrival.into() } else { 0 });
            let mut expected = base();
            for field in RULE_KEY.fields {
                let (lo, width) = RULE_KEY.at(field.name);
                let set = (0..width).filter(|bit| row.get(lo + bit, 1) == 1);
                expected ^= set.fold(0, |sum, bit| sum ^ contribution(field.name, bit));
            }
            assert_eq!(digests.under(&mask), expected, "{mask:?}");
        }
    }
}
