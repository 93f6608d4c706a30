//! The two FPGAs: how yosys is asked, what cells cost, how long they take.

use seqnic_gen::{Memory, RamStyle};
use seqnic_spec::geometry::{self, Geometry};

/// Cells of a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cells {
    pub lut: u64,
    pub ff: u64,
    /// RAMB36 (half for a RAMB18), or EBR; counted in halves.
    pub bram_halves: u64,
    pub uram: u64,
}

impl Cells {
    pub fn bram(&self) -> f64 {
        self.bram_halves as f64 / 2.0
    }

    /// Whether there are as many of everything in `device`.
    pub fn fits(&self, device: &Cells) -> bool {
        self.lut <= device.lut
            && self.ff <= device.ff
            && self.bram_halves <= device.bram_halves
            && self.uram <= device.uram
    }
}

impl std::ops::Add for Cells {
    type Output = Cells;
    fn add(self, other: Cells) -> Cells {
        Cells {
            lut: self.lut + other.lut,
            ff: self.ff + other.ff,
            bram_halves: self.bram_halves + other.bram_halves,
            uram: self.uram + other.uram,
        }
    }
}

/// Which family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    UltraScalePlus,
    Ecp5,
}

/// What is built for what.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub geometry: &'static Geometry,
    pub family: Family,
    pub device: &'static str,
    pub has: Cells,
    /// Clock aimed at, MHz.
    pub aim: f64,
    /// Clock the placer is asked for, MHz: where the aim is out of reach every path would be as urgent as any other.
    pub asked: f64,
    /// Percent of the device aimed at.
    pub percent: f64,
    pub bram: &'static str,
}

/// `geometry` on the ECP5 of the small card.
const fn small(geometry: &'static Geometry) -> Target {
    Target {
        geometry,
        family: Family::Ecp5,
        device: "LFE5U-85F-8",
        has: Cells {
            lut: 83_640,
            ff: 83_640,
            bram_halves: 2 * 208,
            uram: 0,
        },
        aim: 125.0,
        asked: 60.0,
        percent: 100.0,
        bram: "EBR",
    }
}

/// Every geometry with its device.
pub const ALL: [Target; 3] = [
    Target {
        geometry: &geometry::ALVEO,
        family: Family::UltraScalePlus,
        device: "Alveo U55C (XCU55C, -2)",
        has: Cells {
            lut: 1_303_680,
            ff: 2_607_360,
            bram_halves: 2 * 2016,
            uram: 960,
        },
        aim: 322.0,
        asked: 322.0,
        percent: 40.0,
        bram: "RAMB36",
    },
    small(&geometry::EDGE),
    small(&geometry::LITE),
];

/// What a cell is to the timing analysis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A look-up table or inverter: one level of logic.
    Lut,
    /// A multiplexer behind look-up tables of the same slice.
    Mux,
    /// A piece of a carry chain.
    Carry,
    Flop,
    /// A shift register in a look-up table.
    Shift,
    /// Memory in look-up tables: written with the clock, read without.
    LutRam,
    Bram,
    Uram,
    Ignored,
}

/// Delays in ns. A model to rank paths and judge depth, not a sign-off.
#[derive(Debug, Clone, Copy)]
pub struct Delays {
    pub lut: f64,
    pub mux: f64,
    /// Into a carry chain, and along one cell of it.
    pub carry_in: f64,
    pub carry_step: f64,
    pub clock_to_q: f64,
    pub setup: f64,
    /// A memory's clock to output, with and without its output register.
    pub ram_to_q: f64,
    pub ram_to_q_registered: f64,
    pub ram_setup: f64,
    /// A net: the first load, and for each doubling of the number of loads.
    pub net: f64,
    pub net_doubling: f64,
    pub net_most: f64,
}

impl Target {
    pub fn of(name: &str) -> Option<Target> {
        ALL.into_iter().find(|t| t.geometry.name == name)
    }

    /// The yosys command that maps module `top`.
    pub fn synthesis(&self, top: &str) -> String {
        match self.family {
            Family::UltraScalePlus => {
                format!("synth_xilinx -family xcup -uram -noiopad -noclkbuf -flatten -top {top}")
            }
            Family::Ecp5 => format!("synth_ecp5 -top {top}"),
        }
    }

    pub fn kind(&self, cell: &str) -> Kind {
        match cell {
            "INV" | "LUT1" | "LUT2" | "LUT3" | "LUT4" | "LUT5" | "LUT6" => Kind::Lut,
            "MUXF7" | "MUXF8" | "MUXF9" | "PFUMX" | "L6MUX21" => Kind::Mux,
            "CARRY4" | "CARRY8" | "CCU2C" => Kind::Carry,
            "FDRE" | "FDSE" | "FDCE" | "FDPE" | "TRELLIS_FF" => Kind::Flop,
            "SRL16E" | "SRLC32E" | "SRLC16E" => Kind::Shift,
            "TRELLIS_DPR16X4" => Kind::LutRam,
            "DP16KD" | "PDPW16KD" => Kind::Bram,
            "URAM288" => Kind::Uram,
            c if c.starts_with("RAMB") => Kind::Bram,
            c if c.starts_with("RAM") => Kind::LutRam,
            _ => Kind::Ignored,
        }
    }

    /// What one cell takes of the device.
    pub fn cost(&self, cell: &str) -> Cells {
        let lut = |lut| Cells {
            lut,
            ..Cells::default()
        };
        match (self.kind(cell), cell) {
            (Kind::Lut, "INV") => lut(0),
            (Kind::Lut | Kind::Shift, _) => lut(1),
            (Kind::Carry, "CCU2C") => lut(2),
            // Four bits of 16 rows, and the two look-up tables whose inputs take address and data, and which are nothing
            // else then.
            (Kind::LutRam, "TRELLIS_DPR16X4") => lut(6),
            (Kind::LutRam, "RAM32X1D" | "RAM64X1D") => lut(2),
            (Kind::LutRam, "RAM32M16" | "RAM64M8" | "RAM128X1D") => lut(8),
            (Kind::LutRam, _) => lut(4),
            (Kind::Flop, _) => Cells {
                ff: 1,
                ..Cells::default()
            },
            (Kind::Bram, cell) => Cells {
                bram_halves: 1 + u64::from(!cell.starts_with("RAMB18")),
                ..Cells::default()
            },
            (Kind::Uram, _) => Cells {
                uram: 1,
                ..Cells::default()
            },
            _ => Cells::default(),
        }
    }

    pub fn delays(&self) -> Delays {
        match self.family {
            // RAM: UG949 (AMD), "Optimizing Paths with Dedicated Blocks". A level is LUT and net,
            // about 0.5 ns: six of them fill 3.1 ns with the registers at their ends.
            Family::UltraScalePlus => Delays {
                lut: 0.10,
                mux: 0.06,
                carry_in: 0.15,
                carry_step: 0.02,
                clock_to_q: 0.08,
                setup: 0.03,
                ram_to_q: 1.5,
                ram_to_q_registered: 0.4,
                ram_setup: 0.35,
                net: 0.30,
                net_doubling: 0.04,
                net_most: 0.80,
            },
            // From nextpnr's reports of placed modules, speed grade 8.
            Family::Ecp5 => Delays {
                lut: 0.23,
                mux: 0.18,
                carry_in: 0.45,
                carry_step: 0.07,
                clock_to_q: 0.52,
                setup: 0.0,
                ram_to_q: 5.7,
                ram_to_q_registered: 5.7,
                ram_setup: 0.2,
                net: 0.60,
                net_doubling: 0.12,
                net_most: 2.0,
            },
        }
    }

    /// Blocks a memory takes when it is cut into equal tiles, as vendors' tools do it:
    /// `(halves of block RAM, UltraRAM)`; neither for LUT RAM.
    pub fn tiles(&self, memory: &Memory) -> (u64, u64) {
        let (rows, width) = (u64::from(memory.rows), u64::from(memory.width));
        let cut = |shapes: &[(u64, u64)]| {
            let tiles = shapes
                .iter()
                .map(|(deep, wide)| rows.div_ceil(*deep) * width.div_ceil(*wide));
            tiles.min().unwrap_or(0)
        };
        match (self.family, memory.style) {
            (_, RamStyle::Distributed) => (0, 0),
            // Nobody puts so few rows into blocks: queues of records.
            (_, RamStyle::Auto) if rows <= 32 => (0, 0),
            (Family::UltraScalePlus, RamStyle::Ultra) => (0, cut(&[(4096, 72)])),
            (Family::UltraScalePlus, _) => {
                let mut shapes = vec![(1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)];
                if !memory.dual {
                    shapes.push((512, 36));
                }
                (cut(&shapes), 0)
            }
            (Family::Ecp5, _) => {
                let mut shapes = vec![(1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)];
                if !memory.dual {
                    shapes.push((512, 36));
                }
                (2 * cut(&shapes), 0)
            }
        }
    }
}
