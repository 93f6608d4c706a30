//! Netlists as yosys writes them (`write_json`), only what is read here.

use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
pub struct Netlist {
    pub modules: BTreeMap<String, Module>,
}

#[derive(Debug, Deserialize, Default)]
pub struct Module {
    #[serde(default)]
    pub ports: BTreeMap<String, Port>,
    #[serde(default)]
    pub cells: BTreeMap<String, Cell>,
    #[serde(default)]
    pub netnames: BTreeMap<String, Name>,
}

#[derive(Debug, Deserialize)]
pub struct Port {
    pub bits: Vec<Bit>,
}

#[derive(Debug, Deserialize)]
pub struct Cell {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub port_directions: BTreeMap<String, Direction>,
    pub connections: BTreeMap<String, Vec<Bit>>,
}

#[derive(Debug, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Input,
    Output,
    Inout,
}

#[derive(Debug, Deserialize)]
pub struct Name {
    pub bits: Vec<Bit>,
    #[serde(default)]
    pub hide_name: u8,
}

/// A net by its number, or a constant.
#[derive(Debug, Deserialize, Clone, Copy)]
#[serde(untagged)]
pub enum Bit {
    Net(u32),
    Constant(#[serde(deserialize_with = "constant")] ()),
}

fn constant<'de, D: serde::Deserializer<'de>>(d: D) -> Result<(), D::Error> {
    serde::de::IgnoredAny::deserialize(d).map(|_| ())
}

impl Bit {
    pub fn net(self) -> Option<u32> {
        match self {
            Bit::Net(net) => Some(net),
            Bit::Constant(()) => None,
        }
    }
}
