//! A module on few pins, so that it can be placed and routed alone.
//!
//! The card's core has thousands of ports and no package has as many pins. Inputs come from a chain of
//! registers that is shifted in; of outputs the parity of a few at a time goes to another, and on to the next. So every
//! path from and to a port starts and ends at a register, as it does in a board's shell, no
//! logic of the module can be left away, and there is little beside the module that takes places and wires.

use seqnic_gen::{Circuit, GenError, Module};

/// What the chains are called; cells below these names are none of the module's.
pub const INPUTS: &str = "chain_in";
/// See [`INPUTS`].
pub const OUTPUTS: &str = "chain_out";

/// Outputs to a register: with the register before a parity of sixteen, two levels of look-up tables.
const TOGETHER: usize = 15;

/// `<name>_on_pins`: `child` (instance `dut`) behind `serial_in`, `serial_out`. An output that changes for a clock changes
/// `serial_out` for one.
///
/// # Errors
/// None for a module that is finished.
pub fn on_pins(child: &Circuit) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new(&format!("{}_on_pins", child.name()));
    m.doc(
        "All ports of a module behind two chains of registers: only to place and route it alone.",
    );
    let mut carry = m.input("serial_in", 1);
    let mut inputs = vec![];
    for port in child.inputs() {
        let chain = m.reg_no_reset(&format!("{INPUTS}_{}", port.name), port.width);
        chain.set(match port.width {
            1 => carry,
            width => chain.q().trunc(width - 1).cat(carry),
        });
        carry = chain.q().msb();
        inputs.push((port.name.as_str(), chain.q()));
    }
    let dut = m.instance("dut", child, &inputs);
    let mut carry = m.lit(1, 0);
    for port in child.outputs() {
        let bits = dut.get(&port.name).unstaged().bits();
        for (n, bits) in bits.chunks(TOGETHER).enumerate() {
            let parity = m.reg_no_reset(&format!("{OUTPUTS}_{}_{n}", port.name), 1);
            parity.set(m.xor(bits) ^ carry);
            carry = parity.q();
        }
    }
    m.output("serial_out", carry);
    m.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqnic_gen::Sim;

    /// What leaves while `fed` comes in, the first bit of it first, and zeros behind it.
    fn left(fed: u64) -> Vec<u64> {
        let m = Module::new("adder");
        let (a, b) = (m.input("a", 8), m.input("b", 8));
        m.output("sum", a + b);
        m.output("flag", a.msb());
        let wide = a.cat(b).cat(a ^ b);
        m.output("wide", wide);
        let mut sim = Sim::new(&on_pins(&m.finish().unwrap()).unwrap());
        (0..40)
            .map(|clock| {
                sim.set("serial_in", (fed.checked_shr(clock).unwrap_or(0)) & 1);
                sim.step();
                sim.get("serial_out")
            })
            .collect()
    }

    #[test]
    fn every_input_is_seen_at_the_outputs() {
        let none = left(0);
        assert!(none.iter().all(|bit| *bit == 0));
        let each: Vec<_> = (0..16).map(|bit| left(1 << bit)).collect();
        for (bit, found) in each.iter().enumerate() {
            assert!(found.contains(&1), "bit {bit}");
            assert!(!each[..bit].contains(found), "bit {bit} as another");
        }
    }

    #[test]
    fn an_output_that_is_set_for_a_clock_is_seen_for_one() {
        for bit in 0..40 {
            let m = Module::new("wires");
            let a = m.input("a", 1);
            m.output("out", a.zext(40).shl(bit));
            let mut sim = Sim::new(&on_pins(&m.finish().unwrap()).unwrap());
            let mut seen = 0;
            for clock in 0..10 {
                sim.set("serial_in", u64::from(clock == 0));
                sim.step();
                seen += sim.get("serial_out");
            }
            assert_eq!(seen, 1, "bit {bit}");
        }
    }
}
