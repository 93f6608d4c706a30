//! Hierarchy: modules inside of modules, their latency included.

use std::panic::Location;

use crate::circuit::Circuit;
use crate::error::ErrorKind;
use crate::module::Module;
use crate::node::{Id, Inst, Op};
use crate::sig::Sig;

/// A child module placed in its parent; gives the child's outputs by name.
pub struct Instance<'m> {
    m: &'m Module,
    name: String,
    child: Circuit,
    outputs: Vec<Id>,
    /// For an instance which could not be made.
    poison: Option<Sig<'m>>,
}

impl<'m> Instance<'m> {
    /// The output `port` of the child, at its stage in the parent.
    #[track_caller]
    pub fn get(&self, port: &str) -> Sig<'m> {
        let at = Location::caller();
        if let Some(index) = self.child.outputs().iter().position(|p| p.name == port) {
            return self
                .poison
                .unwrap_or_else(|| self.m.sig(self.outputs[index]));
        }
        let (instance, child) = (self.name.clone(), self.child.name().into());
        let kind = ErrorKind::Port {
            instance,
            child,
            port: port.into(),
            problem: "does not exist as an output",
        };
        self.m.fail(at, 1, kind)
    }
}

impl Module {
    /// Places `child` with all its inputs connected by name (`clk` and `rst` connect themselves).
    ///
    /// The child's stages are moved as a whole so that its latest input is met: inputs which are early
    /// get delay registers, and outputs come at the child's latency behind. If no connected input has
    /// a stage, the outputs have none. An input [`SPACED_VALID`](crate::SPACED_VALID) that is not
    /// connected is the module's own.
    #[track_caller]
    pub fn instance<'m>(
        &'m self,
        name: &str,
        child: &Circuit,
        inputs: &[(&str, Sig<'m>)],
    ) -> Instance<'m> {
        let at = Location::caller();
        let mut inputs = inputs.to_vec();
        let spaced = |name: &str| name == crate::SPACED_VALID;
        if child.inputs().iter().any(|p| spaced(&p.name))
            && !inputs.iter().any(|(name, _)| spaced(name))
        {
            inputs.push((crate::SPACED_VALID, self.spaced_valid()));
        }
        let wrong = |port: &str, problem| {
            let (instance, child) = (name.to_string(), child.name().to_string());
            self.inner.borrow_mut().error(
                at,
                ErrorKind::Port {
                    instance,
                    child,
                    port: port.into(),
                    problem,
                },
            );
        };
        let mut ok = true;
        for (i, (port, _)) in inputs.iter().enumerate() {
            if !child.inputs().iter().any(|p| p.name == *port) {
                wrong(port, "does not exist as an input");
                ok = false;
            } else if inputs[..i].iter().any(|(p, _)| p == port) {
                wrong(port, "is connected twice");
                ok = false;
            }
        }
        let mut sigs = vec![];
        for port in child.inputs() {
            let Some((_, sig)) = inputs.iter().find(|(n, _)| *n == port.name) else {
                wrong(&port.name, "is not connected");
                ok = false;
                continue;
            };
            ok &= self.usable(at, &[*sig])
                && sig.expect_width(
                    || format!("port `{}` of instance `{name}`", port.name),
                    port.width,
                    at,
                );
            if let (true, None, Some(stage)) = (ok, port.stage, sig.stage()) {
                let what = format!("port `{}` of instance `{name}`", port.name);
                let sig = sig.with(|i| i.describe(sig.id));
                self.inner
                    .borrow_mut()
                    .error(at, ErrorKind::StageDropped { sig, stage, what });
            }
            sigs.push(*sig);
        }
        let mut instance = Instance {
            m: self,
            name: name.into(),
            child: child.clone(),
            outputs: vec![],
            poison: None,
        };
        if !ok {
            instance.poison = Some(self.poison(at, 1));
            return instance;
        }
        // The child's stage 0 in stages of the parent.
        let base = child
            .inputs()
            .iter()
            .zip(&sigs)
            .filter_map(|(port, sig)| Some(sig.stage()?.saturating_sub(port.stage?)))
            .max();
        let mut inner = self.inner.borrow_mut();
        let ids: Vec<Id> = child
            .inputs()
            .iter()
            .zip(&sigs)
            .map(|(port, sig)| match (base, port.stage) {
                (Some(base), Some(stage)) => inner.delay_to(sig.id, base + stage, at),
                _ => sig.id,
            })
            .collect();
        let inst = inner.insts.len();
        for (index, port) in child.outputs().iter().enumerate() {
            let stage = base.and_then(|b| Some(b + port.stage?));
            let id = inner.push(Op::InstOut { inst, port: index }, port.width, stage, at);
            let node = &mut inner.nodes[id as usize];
            node.name = Some(format!("{name}_{}", port.name));
            node.record = port.record.clone();
            node.valid = port.valid;
            instance.outputs.push(id);
        }
        let (name, child, outputs) = (name.into(), child.clone(), instance.outputs.clone());
        inner.insts.push(Inst {
            name,
            child,
            inputs: ids,
            outputs,
            at,
        });
        instance
    }
}
