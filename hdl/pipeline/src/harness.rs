//! A module on few pins, so that it can be placed and routed alone.
//!
//! The card's core has thousands of ports and no package has as many pins. Inputs come from a chain of
//! registers that is shifted in, outputs go to a chain that is loaded and shifted out. So every
//! path from and to a port starts and ends at a register, as it does in a board's shell, and no
//! logic of the module can be left away.

use seqnic_gen::{Circuit, GenError, Module};

/// What the chains are called; cells below these names are none of the module's.
pub const INPUTS: &str = "chain_in";
/// See [`INPUTS`].
pub const OUTPUTS: &str = "chain_out";

/// `<name>_on_pins`: `child` (instance `dut`) behind `serial_in`, `load`, `serial_out`.
///
/// # Errors
/// None for a module that is finished.
pub fn on_pins(child: &Circuit) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new(&format!("{}_on_pins", child.name()));
    m.doc("All ports of a module behind two shift registers: only to place and route it alone.");
    let mut carry = m.input("serial_in", 1);
    let load = m.input("load", 1);
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
    for port in child.outputs() {
        let chain = m.reg_no_reset(&format!("{OUTPUTS}_{}", port.name), port.width);
        let shifted = match port.width {
            1 => carry,
            width => chain.q().trunc(width - 1).cat(carry),
        };
        chain.set(load.mux(dut.get(&port.name).unstaged(), shifted));
        carry = chain.q().msb();
    }
    m.output("serial_out", carry);
    m.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqnic_gen::Sim;

    #[test]
    fn every_port_is_reached() {
        let m = Module::new("adder");
        let (a, b) = (m.input("a", 8), m.input("b", 8));
        m.output("sum", a + b);
        m.output("flag", a.msb());
        let mut sim = Sim::new(&on_pins(&m.finish().unwrap()).unwrap());
        // `a` is the first of the chain, so `b` is shifted in first.
        for bit in (0..16).rev() {
            sim.set("serial_in", (0x2aa5u64 >> bit) & 1);
            sim.step();
        }
        sim.set("load", 1);
        sim.step();
        sim.set("load", 0);
        let (b, a) = (0x2a, 0xa5);
        // The flag leaves first, then the sum from its highest bit on.
        let expected = (1u64 << 8) | (a + b);
        for bit in (0..9).rev() {
            assert_eq!(sim.get("serial_out"), (expected >> bit) & 1, "bit {bit}");
            sim.step();
        }
    }
}
