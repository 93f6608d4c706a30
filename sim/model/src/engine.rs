//! The image engine as a [`seqnic_engine::Engine`]: parse, decide, edit, count, for one frame at
//! a time; what comes out is in the order of what went in. And the same in batches.

use crate::batch::{Arrival, BATCH, Exit, Outputs, Stages};
use crate::check;
use crate::counters::CounterArrays;
use crate::edit;
use crate::error::LoadError;
use crate::parse::{Headers, parse};
use crate::rate::Rates;
use crate::tables::Tables;
use crate::verdict::{Verdict, decide_in_time};
use seqnic_engine::{Counters, Engine, EngineError, FrameIn, Host, Output, Sent};
use seqnic_image::Image;
use seqnic_image::names::Names;
use seqnic_spec::reason::Reason;
use seqnic_spec::wire::MAX_FRAME_BYTES;
use std::fmt::Display;

const NAME: &str = "image";

/// The image engine with one image loaded.
#[derive(Debug, Clone)]
pub struct ImageEngine {
    tables: Tables,
    names: Names,
    counters: CounterArrays,
    rates: Rates,
}

impl ImageEngine {
    /// Loads an image.
    ///
    /// # Errors
    /// Tables that contradict themselves or the geometry, or have numbers without a name.
    pub fn load(image: &Image) -> Result<ImageEngine, LoadError> {
        let tables = Tables::load(image)?;
        check::names(&tables, &image.names)?;
        Ok(ImageEngine {
            counters: CounterArrays::new(tables.geometry),
            rates: Rates::new(tables.geometry),
            names: image.names.clone(),
            tables,
        })
    }

    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The counters by number.
    pub fn counter_arrays(&self) -> &CounterArrays {
        &self.counters
    }

    /// The host gets a packet, if it takes one more of its reason.
    fn give_host(&mut self, frame: FrameIn, verdict: &Verdict, out: &mut Vec<Output>) {
        match (self.rates).host_takes(&self.tables, verdict.reason, frame.time) {
            true => out.push(Output::Host(self.host(frame, verdict))),
            false => (self.counters).reason(Reason::HostLimited, frame.frame.len()),
        }
    }

    fn host(&self, frame: FrameIn, verdict: &Verdict) -> Host {
        let attachment = |n: u16| self.names.attachments.get(usize::from(n)).cloned();
        let service = |class: u32| {
            let class = self.names.classes.get(class as usize)?;
            self.names.services.get(class.service as usize).cloned()
        };
        Host {
            id: frame.id,
            reason: verdict.reason,
            port: frame.port,
            interface: verdict.interface.map(u32::from),
            attachment: verdict.sender.and_then(attachment),
            service: verdict
                .class
                .and_then(|(class, direction)| Some((service(class)?, direction))),
            priority: self.tables.host_limit(verdict.reason).priority,
            frame: frame.frame.to_vec(),
        }
    }

    fn send(
        &mut self,
        frame: FrameIn,
        headers: &Headers,
        verdict: &Verdict,
        out: &mut Vec<Output>,
    ) -> Result<(), EngineError> {
        for number in 0..verdict.step.copies {
            let Some(plan) = edit::plan(&self.tables, headers, verdict, number) else {
                break;
            };
            if let Some(reason) = plan.unsent(headers) {
                let verdict = verdict.unsent(reason);
                self.counters.reason(verdict.reason, frame.frame.len());
                self.give_host(frame, &verdict, out);
                continue;
            }
            let mut bytes = vec![0; plan.length(headers)];
            plan.write(headers, frame.frame, &mut bytes)
                .map_err(failed)?;
            self.counters.copy(&plan, headers, frame.time, bytes.len());
            out.push(Output::Sent(Sent {
                id: frame.id,
                interface: plan.to.interface.into(),
                priority: plan.priority,
                frame: bytes,
            }));
        }
        Ok(())
    }
}

/// The image engine taking packets in batches ([`crate::batch`]), to be compared with the others.
/// What comes out of a frame may come with a later frame, or when it is drained.
#[derive(Debug, Clone)]
pub struct BatchEngine {
    engine: ImageEngine,
    stages: Stages,
    waiting: Vec<Waiting>,
}

impl BatchEngine {
    /// Loads an image.
    ///
    /// # Errors
    /// As [`ImageEngine::load`].
    pub fn load(image: &Image) -> Result<BatchEngine, LoadError> {
        Ok(BatchEngine {
            engine: ImageEngine::load(image)?,
            stages: Stages::default(),
            waiting: Vec::with_capacity(BATCH),
        })
    }

    fn flush(&mut self, out: &mut Vec<Output>) {
        let arrivals: Vec<Arrival> = (self.waiting.iter())
            .map(|w| Arrival {
                port: w.port,
                time: w.time,
                frame: &w.frame,
            })
            .collect();
        let mut made = Made(Vec::new());
        let engine = &mut self.engine;
        let ImageEngine {
            tables,
            counters,
            rates,
            ..
        } = engine;
        (self.stages).run(tables, counters, rates, &arrivals, &mut made);
        for (packet, what) in made.0 {
            let Waiting {
                id,
                time,
                port,
                frame,
            } = &self.waiting[packet];
            let frame = FrameIn {
                id: *id,
                time: *time,
                port: *port,
                frame,
            };
            out.push(match what {
                Left::Sent(interface, priority, frame) => Output::Sent(Sent {
                    id: *id,
                    interface,
                    priority,
                    frame,
                }),
                Left::Host(verdict) => Output::Host(engine.host(frame, &verdict)),
            });
        }
        self.waiting.clear();
    }
}

/// A frame of the next batch.
#[derive(Debug, Clone)]
struct Waiting {
    id: u64,
    time: u64,
    port: u8,
    frame: Vec<u8>,
}

/// What became of the packets of a batch, by place in it.
struct Made(Vec<(usize, Left)>);

enum Left {
    /// Interface, priority, frame.
    Sent(u32, u8, Vec<u8>),
    Host(Verdict),
}

impl Outputs for Made {
    fn room(&mut self, packet: usize, exit: Exit, bytes: usize) -> Option<&mut [u8]> {
        let copy = Left::Sent(exit.interface.into(), exit.priority, vec![0; bytes]);
        self.0.push((packet, copy));
        match self.0.last_mut() {
            Some((_, Left::Sent(_, _, frame))) => Some(frame),
            _ => None,
        }
    }

    fn host(&mut self, packet: usize, verdict: &Verdict) {
        self.0.push((packet, Left::Host(*verdict)));
    }
}

impl Engine for BatchEngine {
    fn name(&self) -> &'static str {
        "batch"
    }

    fn push(&mut self, frame: FrameIn, out: &mut Vec<Output>) -> Result<(), EngineError> {
        self.waiting.push(Waiting {
            id: frame.id,
            time: frame.time,
            port: frame.port,
            frame: frame.frame.to_vec(),
        });
        if self.waiting.len() == BATCH {
            self.flush(out);
        }
        Ok(())
    }

    fn drain(&mut self, out: &mut Vec<Output>) -> Result<(), EngineError> {
        self.flush(out);
        Ok(())
    }

    fn counters(&mut self) -> Result<Counters, EngineError> {
        self.engine.counters()
    }
}

fn failed(what: impl Display) -> EngineError {
    EngineError::Failed {
        engine: NAME,
        what: what.to_string(),
    }
}

impl Engine for ImageEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    /// A frame longer than the port takes is cut off there, counted as `oversize`, and nothing
    /// comes of it: what the card may send of it is no frame.
    fn push(&mut self, frame: FrameIn, out: &mut Vec<Output>) -> Result<(), EngineError> {
        let bytes = frame.frame.len();
        let most = MAX_FRAME_BYTES as usize;
        let headers = parse(frame.frame, self.tables.decap(frame.port));
        let (tables, rates) = (&self.tables, &mut self.rates);
        let verdict = decide_in_time(tables, rates, frame.port, frame.time, &headers);
        if bytes > most {
            self.counters.reason(Reason::Oversize, most);
            rates.oversize(tables, &headers, &verdict, frame.time);
            return Ok(());
        }
        self.counters.packet(&verdict, &headers, frame.time);
        if verdict.reason == Reason::Directed {
            self.send(frame, &headers, &verdict, out)
        } else {
            self.give_host(frame, &verdict, out);
            Ok(())
        }
    }

    fn drain(&mut self, _: &mut Vec<Output>) -> Result<(), EngineError> {
        Ok(())
    }

    fn counters(&mut self) -> Result<Counters, EngineError> {
        self.counters.named(&self.names).map_err(failed)
    }
}
