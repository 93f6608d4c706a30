//! Packets at random for the tests of the header path, mostly sound, often bent.

use crate::testing::Random;

/// Ones' complement sum of 16-bit words (RFC 1071), not complemented.
pub fn sum(bytes: &[u8]) -> u16 {
    let mut total: u64 = bytes
        .chunks(2)
        .map(|w| u64::from(w[0]) << 8 | u64::from(*w.get(1).unwrap_or(&0)))
        .sum();
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

/// What the packets of a test are made of: few values, so that tables can know them.
pub struct World {
    pub macs: Vec<[u8; 6]>,
    pub vids: Vec<u16>,
    pub v4: Vec<[u8; 4]>,
    pub v6: Vec<[u8; 16]>,
    pub ports: Vec<u16>,
    /// Where tunnels end.
    pub tunnel_v4: [u8; 4],
    pub tunnel_v6: [u8; 16],
    /// Labels, service indices, identifiers and keys.
    pub numbers: Vec<u16>,
}

impl World {
    pub fn new(random: &mut Random) -> World {
        let fill = |n: usize, random: &mut Random| random.bytes(n);
        let mut mac = |i: u8| [2, 0, 0, 0, i, random.word() as u8];
        let mut macs: Vec<[u8; 6]> = (0..5).map(&mut mac).collect();
        macs.extend([[0xff; 6], [0x01, 0, 0x5e, 0, 0, 1]]);
        World {
            macs,
            vids: vec![0, 5, 7, 4095],
            v4: (0..6)
                .map(|_| fill(4, random).try_into().unwrap())
                .collect(),
            v6: (0..6)
                .map(|_| fill(16, random).try_into().unwrap())
                .collect(),
            tunnel_v4: fill(4, random).try_into().unwrap(),
            tunnel_v6: fill(16, random).try_into().unwrap(),
            numbers: vec![1, 1, 1, 255, 16, 0xff0f],
            ports: vec![0, 21, 67, 68, 80, 546, 547, 1025, 1100, 40000, 65535],
        }
    }

    /// A frame: 14 bytes to a few hundred.
    pub fn frame(&self, random: &mut Random) -> Vec<u8> {
        let mut frame = vec![];
        frame.extend(random.pick(&self.macs));
        frame.extend(random.pick(&self.macs));
        for _ in 0..random.pick(&[0, 0, 0, 1, 1, 2, 2, 3]) {
            frame.extend(random.pick(&[0x8100u16, 0x88a8, 0x9100]).to_be_bytes());
            let pcp = (random.word() as u16) & 0xf000;
            frame.extend((pcp | random.pick(&self.vids)).to_be_bytes());
        }
        match random.below(20) {
            12.. => self.tagged(random, &mut frame),
            0 => {
                frame.extend(random.pick(&[0x0806u16, 0x88cc, 0x0805]).to_be_bytes());
                frame.extend(random.bytes(46));
            }
            1..=5 => self.v4(random, &mut frame),
            _ => self.v6(random, &mut frame),
        }
        if random.one_in(4) {
            frame.extend(random.bytes(20));
        }
        self.bend(random, &mut frame);
        frame
    }

    /// A packet with a tag header or in a tunnel.
    fn tagged(&self, random: &mut Random, frame: &mut Vec<u8>) {
        let mut inner = vec![];
        match random.one_in(2) {
            true => self.v4(random, &mut inner),
            false => self.v6(random, &mut inner),
        }
        let packet = inner.split_off(2);
        // Now and then a check fails.
        let bent = random.one_in(8);
        let number = random.pick(&self.numbers);
        let high: u32 = if bent && random.one_in(2) {
            0x1_0000
        } else {
            0
        };
        match random.below(5) {
            0 => {
                frame.extend([0x88, 0x47]);
                let bottom = u32::from(!bent || random.one_in(2));
                let label = (high | u32::from(number)) << 12 | bottom << 8 | 64;
                frame.extend(label.to_be_bytes());
                inner.clear();
            }
            1 => {
                frame.extend([0x89, 0x4f]);
                self.service(random, frame, &mut inner, bent);
            }
            2 => {
                self.outer(random, frame, 17, bent);
                self.udp(random, frame, 4789);
                frame.extend([if bent { random.pick(&[0, 8, 12]) } else { 8 }, 0, 0, 0]);
                frame.extend(((high | u32::from(number)) << 8).to_be_bytes());
                frame.extend(random.bytes(12));
            }
            3 => {
                self.outer(random, frame, 17, bent);
                self.udp(random, frame, 4790);
                let flags = if bent { random.pick(&[8, 12]) } else { 12 };
                frame.extend([flags, 0, 0, random.pick(&[4, 4, 4, 4, 4, 1])]);
                frame.extend(random.bytes(4));
                self.service(random, frame, &mut inner, bent);
            }
            _ => {
                self.outer(random, frame, 47, bent);
                frame.extend([
                    if bent {
                        random.pick(&[0, 0x20, 0xa0])
                    } else {
                        0x20
                    },
                    0,
                ]);
                frame.append(&mut inner);
                frame.extend((high | u32::from(number)).to_be_bytes());
            }
        }
        frame.extend(inner);
        frame.extend(packet);
    }

    /// An NSH before a packet of EtherType `inner`, which stays only behind an Ethernet header.
    fn service(&self, random: &mut Random, frame: &mut Vec<u8>, inner: &mut Vec<u8>, bent: bool) {
        let (md, mut words) = match random.one_in(2) {
            true => (1u8, 6u8),
            false => {
                let most = random.pick(&[6, 6, 6, 6, 6, 50]);
                (2, 2 + random.below(most) as u8)
            }
        };
        if bent && random.one_in(2) {
            words = random.below(8) as u8;
        }
        let ethernet = random.one_in(3);
        let next = match (ethernet, inner.first()) {
            (true, _) => 3,
            (_, Some(8)) => 1,
            _ => 2,
        };
        let next = if bent && random.one_in(3) { 5 } else { next };
        let top = if bent {
            random.pick(&[0, 0x20, 0x40, 0x10])
        } else {
            0
        };
        frame.extend([top | 0x0f, 0xc0 | words, md, next]);
        frame.extend(random.bytes(3));
        let si = random.pick(&self.numbers) as u8;
        frame.push(if bent && random.one_in(3) { 0 } else { si });
        frame.extend(random.bytes(4 * usize::from(words).saturating_sub(2)));
        match ethernet {
            true => frame.extend(random.bytes(12)),
            false => inner.clear(),
        }
    }

    fn udp(&self, random: &mut Random, frame: &mut Vec<u8>, port: u16) {
        frame.extend(random.bytes(2));
        let port = if random.one_in(20) { 4791 } else { port };
        frame.extend(port.to_be_bytes());
        frame.extend(random.bytes(4));
    }

    /// An outer IP header, mostly to here.
    fn outer(&self, random: &mut Random, frame: &mut Vec<u8>, protocol: u8, bent: bool) {
        let here = !random.one_in(12);
        let other = random.pick(&self.v6);
        if random.one_in(2) {
            frame.extend([8, 0, if bent { 0x46 } else { 0x45 }, random.word() as u8]);
            frame.extend(random.bytes(4));
            frame.extend(random.pick(&[[0u8, 0], [0x40, 0], [0x80, 0], [0x40, 0]]));
            if random.one_in(20) {
                frame.pop();
                frame.push(1);
            }
            frame.extend([64, protocol]);
            frame.extend(random.bytes(6));
            frame.extend(if here {
                self.tunnel_v4
            } else {
                random.pick(&self.v4)
            });
        } else {
            frame.extend([0x86, 0xdd, 0x60 | random.below(16) as u8]);
            frame.extend(random.bytes(5));
            frame.extend([protocol, 64]);
            frame.extend(random.bytes(16));
            frame.extend(if here { self.tunnel_v6 } else { other });
        }
    }

    /// Now and then a wrong bit, a wrong byte, or an early end.
    fn bend(&self, random: &mut Random, frame: &mut Vec<u8>) {
        let at = random.below(frame.len().min(100) as u64) as usize;
        match random.below(10) {
            0 => frame[at] ^= 1 << random.below(8),
            1 => frame[at] = random.pick(&[0, 1, 4, 5, 6, 8, 0x45, 0x60, 0xff]),
            2 => frame.truncate(at.max(1)),
            _ => {}
        }
    }

    fn transport(&self, random: &mut Random, v6: bool) -> (u8, Vec<u8>) {
        let protocol = random.pick(&[1, 6, 6, 17, 17, 47, 58, 58, 132, 59, 255]);
        let mut body = match random.one_in(6) {
            true => random.below(30) as usize,
            false => 20 + random.below(100) as usize,
        };
        body = body.max(1);
        let mut bytes = random.bytes(body);
        if body >= 8 {
            bytes[0..2].copy_from_slice(&random.pick(&self.ports).to_be_bytes());
            bytes[2..4].copy_from_slice(&random.pick(&self.ports).to_be_bytes());
            if matches!(protocol, 1 | 58) {
                let types: &[u8] = if v6 {
                    &[1, 2, 3, 4, 5, 128, 133, 137, 138, 132]
                } else {
                    &[0, 3, 4, 5, 8, 11, 12, 6]
                };
                bytes[0] = random.pick(types);
            }
            if random.one_in(8) {
                bytes[6..8].fill(0);
            }
        }
        (protocol, bytes)
    }

    fn v4(&self, random: &mut Random, frame: &mut Vec<u8>) {
        let (protocol, body) = self.transport(random, false);
        frame.extend([8, 0]);
        let options = random.pick(&[0usize, 0, 0, 1, 4, 10]);
        let header = 20 + 4 * options;
        let offset: u16 = if random.one_in(6) {
            random.pick(&[1, 0x1000, 185])
        } else {
            0
        };
        let flags: u16 = random.pick(&[0, 0x2000, 0x4000]);
        let ttl = if random.one_in(20) { 0 } else { 64 };
        let mut ip = vec![0x40 | (header / 4) as u8, random.word() as u8];
        ip.extend(((header + body.len()) as u16).to_be_bytes());
        ip.extend(random.bytes(2));
        ip.extend((flags | offset).to_be_bytes());
        ip.extend([ttl, protocol, 0, 0]);
        ip.extend(random.pick(&self.v4));
        ip.extend(random.pick(&self.v4));
        ip.extend(random.bytes(4 * options));
        let checksum = !sum(&ip);
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        frame.extend(ip);
        frame.extend(body);
    }

    fn v6(&self, random: &mut Random, frame: &mut Vec<u8>) {
        let (protocol, body) = self.transport(random, true);
        frame.extend([0x86, 0xdd]);
        let count = random.pick(&[0, 0, 0, 1, 1, 2, 3, 4, 4, 5]);
        let kinds: Vec<u8> = (0..count)
            .map(|_| random.pick(&[0u8, 43, 60, 135, 139, 140, 44, 44, 51, 51]))
            .collect();
        let mut inner = vec![];
        for (i, kind) in kinds.iter().enumerate() {
            let next = *kinds.get(i + 1).unwrap_or(&protocol);
            let long = if random.one_in(20) {
                3 + random.below(250)
            } else {
                random.below(3)
            } as u8;
            let bytes = match kind {
                44 => 8,
                51 => (usize::from(long) + 2) * 4,
                _ => (usize::from(long) + 1) * 8,
            };
            let mut header = random.bytes(bytes.min(200));
            header[0] = next;
            header[1] = long;
            if *kind == 44 && !random.one_in(4) {
                header[2] = 0;
                header[3] &= 7;
            }
            inner.extend(header);
        }
        inner.extend(body);
        let hops = if random.one_in(20) { 0 } else { 64 };
        frame.extend([0x60 | random.below(16) as u8]);
        frame.extend(random.bytes(3));
        frame.extend((inner.len() as u16).to_be_bytes());
        frame.extend([*kinds.first().unwrap_or(&protocol), hops]);
        frame.extend(random.pick(&self.v6));
        frame.extend(random.pick(&self.v6));
        frame.extend(inner);
    }
}
