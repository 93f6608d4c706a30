//! Each operation in the evaluator against plain Rust, in narrow and wide values.

mod common;

use common::random::Rng;
use seqnic_gen::{Bits, Module, Record, Sig, Sim, clog2, math, mux};

/// Evaluates a module of inputs `a`, `b` (`w` bits) and `n` (8 bits) with outputs from `build`.
fn check(
    w: u32,
    build: impl for<'m> Fn(Sig<'m>, Sig<'m>, Sig<'m>) -> Sig<'m>,
    meaning: impl Fn(u128, u128, u32) -> u128,
) {
    let m = Module::new("op");
    let (a, b, n) = (m.input("a", w), m.input("b", w), m.input("n", 8));
    m.output("out", build(a, b, n));
    let circuit = m.finish().expect("no mistakes");
    let mut sim = Sim::new(&circuit);
    let mut rng = Rng::new(u64::from(w));
    let width = circuit.outputs()[0].width;
    for _ in 0..60 {
        let (a, b) = (
            rng.bits(w),
            if rng.chance(20) {
                Bits::zero(w)
            } else {
                rng.bits(w)
            },
        );
        let b = if rng.chance(20) { a.clone() } else { b };
        let n = rng.below(256) as u32 % (w + 3);
        sim.set_bits("a", &a);
        sim.set_bits("b", &b);
        sim.set("n", n.into());
        let expected = Bits::new(width, meaning(a.low_u128(), b.low_u128(), n));
        assert_eq!(
            sim.get_bits("out"),
            expected,
            "{w} bits: a = {a}, b = {b}, n = {n}"
        );
    }
}

#[test]
fn operations_mean_what_rust_means() {
    for w in [1, 7, 32, 63, 64, 65, 100, 120] {
        let mask = (1u128 << w) - 1;
        check(w, |a, b, _| a & b, |a, b, _| a & b);
        check(w, |a, b, _| a | b, |a, b, _| a | b);
        check(w, |a, b, _| a ^ b, |a, b, _| a ^ b);
        check(w, |a, _, _| !a, |a, _, _| !a);
        check(w, |a, b, _| a + b, |a, b, _| a + b);
        check(w, |a, b, _| a - b, |a, b, _| a.wrapping_sub(b));
        check(w, |a, b, _| a.add_carry(b), |a, b, _| a + b);
        check(w, |a, b, _| a.eq(b), |a, b, _| u128::from(a == b));
        check(w, |a, b, _| a.ne(b), |a, b, _| u128::from(a != b));
        check(w, |a, b, _| a.lt(b), |a, b, _| u128::from(a < b));
        check(w, |a, b, _| a.le(b), |a, b, _| u128::from(a <= b));
        check(w, |a, b, _| a.gt(b), |a, b, _| u128::from(a > b));
        check(w, |a, b, _| a.ge(b), |a, b, _| u128::from(a >= b));
        for by in [0, 1, 5, 64, w] {
            check(w, |a, _, _| a.shl(by), |a, _, _| a << by);
            check(w, |a, _, _| a.shr(by), |a, _, _| a >> by);
        }
        check(
            w,
            |a, _, n| a.shl_by(n),
            |a, _, n| if n < w { a << n } else { 0 },
        );
        check(w, |a, _, n| a.shr_by(n), |a, _, n| a >> n);
        check(w, |a, _, n| a.module().bit_by(a, n), |a, _, n| a >> n & 1);
        check(
            w,
            |a, b, n| mux(n.bit(0), a, b),
            |a, b, n| if n & 1 == 1 { a } else { b },
        );
        check(
            w,
            |a, _, n| a.when(n.bit(1)),
            |a, _, n| if n & 2 == 2 { a } else { 0 },
        );
        check(w, |a, _, _| a.any(), |a, _, _| u128::from(a != 0));
        check(w, |a, _, _| a.all(), |a, _, _| u128::from(a == mask));
        check(
            w,
            |a, _, _| a.parity(),
            |a, _, _| u128::from(a.count_ones() % 2),
        );
        check(w, |a, _, _| a.msb(), |a, _, _| a >> (w - 1));
        check(
            w,
            |a, _, _| a.lowest_set(),
            |a, _, _| if a == 0 { 0 } else { a.trailing_zeros().into() },
        );
        check(w, |a, _, _| a.zext(w + 3), |a, _, _| a);
        check(w, |a, _, _| a.trunc(1), |a, _, _| a & 1);
        check(
            w,
            |a, b, n| a.module().priority(&[(n.bit(0), a), (n.bit(1), b)], !a),
            |a, b, n| match n & 3 {
                0 => !a,
                2 => b,
                _ => a,
            },
        );
        check(
            w,
            |a, b, n| a.module().select_onehot(&[(n.bit(0), a), (n.bit(1), b)]),
            |a, b, n| (if n & 1 == 1 { a } else { 0 }) | if n & 2 == 2 { b } else { 0 },
        );
        check(
            w,
            |a, b, n| a.module().index(&[a, b, !a], n.trunc(2)),
            |a, b, n| [a, b, !a & mask, 0][n as usize % 4],
        );
    }
    check(60, |a, b, _| a.cat(b), |a, b, _| a << 60 | b);
    check(40, |a, _, _| a.repl(3), |a, _, _| a << 80 | a << 40 | a);
    check(
        64,
        |a, _, n| a.module().index(&a.chunks(8), n.trunc(3)),
        |a, _, n| a >> (8 * (n % 8)) & 0xff,
    );
    check(
        16,
        |_, _, n| n.module().onehot(n.trunc(4)),
        |_, _, n| 1 << (n % 16),
    );
}

#[test]
fn thousands_of_bits() {
    let m = Module::new("wide");
    let (a, b) = (m.input("a", 4096), m.input("b", 4096));
    m.output("sum", a + b);
    m.output("diff", a - b);
    m.output("piece", m.slice_by(a, b.trunc(12), 512));
    let mut sim = Sim::new(&m.finish().expect("no mistakes"));
    let ones = Bits::ones(4096);
    sim.set_bits("a", &ones);
    sim.set_bits("b", &Bits::new(4096, 1));
    assert!(sim.get_bits("sum").is_zero());
    assert_eq!(sim.get_bits("diff").count_ones(), 4095);
    sim.set("b", 4000);
    assert_eq!(
        sim.get_bits("piece"),
        Bits::from_limbs(512, &[u64::MAX, 0xffff_ffff])
    );
}

#[test]
fn records_are_packed_from_the_lowest_bit() {
    let record = Record::new("tag", [("vid", 12), ("dei", 1), ("pcp", 3)]);
    let m = Module::new("fields");
    let tag = m.input_record("tag", &record, None);
    m.output("vid", tag.field("vid"));
    m.output("pcp", tag.field("pcp"));
    m.output("marked", tag.with_field("dei", m.lit(1, 1)));
    let (pcp, dei, vid) = (m.lit(3, 5), m.lit(1, 0), m.lit(12, 0xabc));
    m.output(
        "made",
        m.pack(&record, &[("pcp", pcp), ("dei", dei), ("vid", vid)]),
    );
    let circuit = m.finish().expect("no mistakes");
    assert_eq!(circuit.outputs()[2].record.as_ref(), Some(&record));
    let mut sim = Sim::new(&circuit);
    sim.set("tag", 0xe123);
    assert_eq!(
        (
            sim.get("vid"),
            sim.get("pcp"),
            sim.get("marked"),
            sim.get("made")
        ),
        (0x123, 7, 0xf123, 0xaabc)
    );
}

/// Carry-less product modulo x^32, bit by bit.
fn clmul(a: u128, b: u128) -> u128 {
    (0..32)
        .filter(|i| b >> i & 1 == 1)
        .fold(0, |p, i| p ^ a << i)
        & 0xffff_ffff
}

#[test]
fn carry_less_product() {
    check(
        32,
        |a, b, _| math::clmul_top(a, a.module().concat(&b.bits()), 32),
        |a, b, _| clmul(a, b),
    );
    check(
        32,
        |a, b, _| math::clmul_top(a, a.module().concat(&b.bits()), 13).zext(32),
        |a, b, _| clmul(a, b) >> 19,
    );
    // (x + 1)^2 = x^2 + 1 over GF(2)
    assert_eq!(clmul(3, 3), 5);
}

#[test]
fn crc32c_check_value_and_odd_widths() {
    assert_eq!(math::crc32c_of(b"123456789"), 0xe306_9283);
    for width in [72, 1, 8, 13, 67] {
        let m = Module::new("crc");
        m.output("crc", math::crc32c(m.input("x", width)));
        let mut sim = Sim::new(&m.finish().expect("no mistakes"));
        let x = Bits::from_bytes_le(b"123456789").resize(width);
        sim.set_bits("x", &x);
        assert_eq!(
            sim.get("crc"),
            u64::from(math::crc32c_of(&x.to_bytes_le())),
            "{width} bits"
        );
    }
}

#[test]
fn matrices_of_every_shape() {
    let mut rng = Rng::new(7);
    // Narrow to wide is built from columns, wide to narrow from rows.
    for (wide, result) in [
        (1, 1),
        (4, 32),
        (20, 32),
        (32, 32),
        (130, 16),
        (9, 70),
        (290, 5),
    ] {
        let rows: Vec<Bits> = (0..result).map(|_| rng.bits(wide)).collect();
        let m = Module::new("product");
        m.output("out", math::matrix(m.input("x", wide), &rows));
        let mut sim = Sim::new(&m.finish().expect("no mistakes"));
        for _ in 0..20 {
            let x = rng.bits(wide);
            sim.set_bits("x", &x);
            let product = sim.get_bits("out");
            for (i, row) in rows.iter().enumerate() {
                let selected = (0..wide).filter(|b| x.bit(*b) && row.bit(*b)).count();
                let bit = product.bit(i as u32);
                assert_eq!(bit, selected % 2 == 1, "{wide} to {result}, bit {i}");
            }
        }
    }
}

#[test]
fn bits_needed_to_count() {
    assert_eq!([1, 2, 3, 8, 9].map(clog2), [0, 1, 2, 3, 4]);
}
