//! `seqnic spec`

use super::{print, print_json};
use crate::cli::Spec;
use crate::failure::Outcome;
use seqnic_spec::reference;

pub fn run(args: &Spec) -> Outcome {
    if args.json {
        return print_json(&reference::spec_json());
    }
    print(&reference::markdown())
}
