//! What is behind the rings: table memories, counters and ports, around the image engine.

use seqnic_image::Image;
use seqnic_model::Tables;
use seqnic_model::batch::{Arrival, Exit, Outputs, Stages};
use seqnic_model::counters::CounterArrays;
use seqnic_model::rate::Rates;
use seqnic_model::verdict::Verdict;
use seqnic_spec::counters::{COUNTER_ROW, CounterSet};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::layout::Row;
use seqnic_spec::tables::Table;

/// A frame that left a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfPort {
    pub port: u8,
    pub frame: Vec<u8>,
}

/// A packet for the host.
#[derive(Debug, Clone)]
pub struct ForHost {
    pub time: u64,
    pub port: u8,
    pub verdict: Verdict,
    pub frame: Vec<u8>,
}

/// Memories and the engine that runs what is in them.
#[derive(Debug)]
pub struct Datapath {
    image: Image,
    /// The memories, decoded; those of before while what is in them now contradicts itself.
    tables: Option<Tables>,
    changed: bool,
    counters: CounterArrays,
    rates: Rates,
    stages: Stages,
    arrivals: Vec<(u8, u64, Vec<u8>)>,
    newest: u64,
    pub out: Vec<OutOfPort>,
    pub host: Vec<ForHost>,
}

impl Datapath {
    pub fn new(geometry: &'static Geometry) -> Datapath {
        Datapath {
            image: Image::empty(geometry),
            tables: None,
            changed: true,
            counters: CounterArrays::new(geometry),
            rates: Rates::new(geometry),
            stages: Stages::default(),
            arrivals: Vec::new(),
            newest: 0,
            out: Vec::new(),
            host: Vec::new(),
        }
    }

    pub fn geometry(&self) -> &'static Geometry {
        self.image.geometry
    }

    /// The memories as they are.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Rows and bits of a table or counter set; nothing for numbers there are not.
    pub fn size(&self, number: u8) -> Option<(u32, u32)> {
        let g = self.geometry();
        if let Some(table) = Table::from_number(number) {
            return Some((g.rows(table), g.row_bits(table)));
        }
        let set = CounterSet::ALL.into_iter().find(|s| *s as u8 == number)?;
        Some((set.rows(g), COUNTER_ROW.width()))
    }

    /// A row, zero where there is none.
    pub fn read(&self, number: u8, row: u32) -> Row {
        let Some((rows, bits)) = self.size(number) else {
            return Row::zero(0);
        };
        if row >= rows {
            return Row::zero(bits);
        }
        match Table::from_number(number) {
            // Row 1 says whether packets of the other epoch are inside: this engine keeps none.
            Some(Table::Epoch) if row == 1 => Row::zero(bits),
            Some(table) => self.image.table(table).row(row),
            None => {
                let set = CounterSet::ALL.into_iter().find(|s| *s as u8 == number);
                let count = set.map(|s| self.counters.get(s, row)).unwrap_or_default();
                Row::from_words(bits, &[count.packets, count.bytes])
            }
        }
    }

    /// Writes a row of a table; nothing happens where there is none, counters included.
    pub fn write(&mut self, number: u8, row: u32, words: &[u64]) {
        let (Some(table), Some((rows, bits))) = (Table::from_number(number), self.size(number))
        else {
            return;
        };
        if row >= rows || (table == Table::Epoch && row == 1) {
            return;
        }
        self.image
            .table_mut(table)
            .put(row, &Row::from_words(bits, words));
        self.changed = true;
    }

    /// Turns a bit of a memory, as radiation does: nobody is told.
    pub fn flip(&mut self, table: Table, row: u32, bit: u32) {
        let rows = self.image.table(table);
        let mut words = rows.row(row).words().to_vec();
        if let Some(word) = words.get_mut((bit / 64) as usize) {
            *word ^= 1 << (bit % 64);
        }
        self.write(table as u8, row, &words);
    }

    /// A frame arrives at a port at `time` ns, to be taken by [`Datapath::run`].
    pub fn arrive(&mut self, port: u8, time: u64, frame: &[u8]) {
        self.arrivals.push((port, time, frame.to_vec()));
    }

    /// Rows of counters that are not 0: set, row, packets, bytes.
    pub fn counted(&self) -> impl Iterator<Item = (u8, u32, u64, u64)> {
        let g = self.geometry();
        CounterSet::ALL.into_iter().flat_map(move |set| {
            (0..set.rows(g)).filter_map(move |row| {
                let count = self.counters.get(set, row);
                (count != Default::default()).then_some((
                    set as u8,
                    row,
                    count.packets,
                    count.bytes,
                ))
            })
        })
    }

    /// Arrival of the newest packet that is counted, ns.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Takes what has arrived through the tables.
    pub fn run(&mut self) {
        if self.arrivals.is_empty() {
            return;
        }
        if self.changed {
            self.changed = false;
            // Tables that contradict themselves for a moment (a load without a delta) are not run.
            if let Ok(tables) = Tables::load(&self.image) {
                self.tables = Some(tables);
            }
        }
        let frames = std::mem::take(&mut self.arrivals);
        let Some(tables) = &self.tables else { return };
        let arrivals: Vec<Arrival> = (frames.iter())
            .map(|(port, time, frame)| Arrival {
                port: *port,
                time: *time,
                frame,
            })
            .collect();
        self.newest = arrivals.last().map_or(self.newest, |a| a.time);
        let mut outputs = Made {
            arrivals: &arrivals,
            out: &mut self.out,
            host: &mut self.host,
        };
        let (counters, rates) = (&mut self.counters, &mut self.rates);
        (self.stages).run(tables, counters, rates, &arrivals, &mut outputs);
    }
}

/// Where packets go.
struct Made<'a> {
    arrivals: &'a [Arrival<'a>],
    out: &'a mut Vec<OutOfPort>,
    host: &'a mut Vec<ForHost>,
}

impl Outputs for Made<'_> {
    fn room(&mut self, _: usize, exit: Exit, bytes: usize) -> Option<&mut [u8]> {
        self.out.push(OutOfPort {
            port: exit.port,
            frame: vec![0; bytes],
        });
        self.out.last_mut().map(|o| &mut o.frame[..])
    }

    fn host(&mut self, packet: usize, verdict: &Verdict) {
        let arrival = &self.arrivals[packet];
        self.host.push(ForHost {
            time: arrival.time,
            port: arrival.port,
            verdict: *verdict,
            frame: arrival.frame.to_vec(),
        });
    }
}
