//! `seqnic spec`

use super::{print, print_json};
use crate::cli::Spec;
use crate::failure::Outcome;
use seqnic_spec::{host, reference};

pub fn run(args: &Spec) -> Outcome {
    if args.json {
        return print_json(&reference::spec_json());
    }
    if args.registers {
        return print(&host::reference::markdown());
    }
    print(&reference::markdown())
}
