//! Control calls, taken by the datapath between two batches.

use super::lock;
use super::wake::Wake;
use crate::{CardError, Snapshot};
use seqnic_model::Tables;
use seqnic_model::tables::Attachment;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// A batch takes microseconds; who waits this long waits for a thread that is gone or starved.
const PATIENCE: Duration = Duration::from_secs(10);

pub enum Change {
    /// To see that all batches before are through.
    Nothing,
    Tables(Box<Tables>),
    /// Rows of `attachment`, by number.
    Attachments(Vec<(usize, Attachment)>),
}

/// A call with where its answer goes. An answer nobody waits for any more is dropped.
pub enum Call {
    Change(Change, SyncSender<()>),
    Snapshot(SyncSender<Snapshot>),
}

/// Calls that wait.
#[derive(Default)]
pub struct Control(Mutex<Vec<Call>>);

impl Control {
    pub fn call(&self, change: Change, wake: &Wake) -> Result<(), CardError> {
        let (answer, answered) = sync_channel(1);
        self.ask(Call::Change(change, answer), answered, wake)
    }

    pub fn snapshot(&self, wake: &Wake) -> Result<Snapshot, CardError> {
        let (answer, answered) = sync_channel(1);
        self.ask(Call::Snapshot(answer), answered, wake)
    }

    fn ask<T>(&self, call: Call, answered: Receiver<T>, wake: &Wake) -> Result<T, CardError> {
        lock(&self.0).push(call);
        wake.wake();
        answered.recv_timeout(PATIENCE).map_err(|_| {
            CardError::Failed(format!(
                "the software engine does not answer for {} s: it has ended or the machine is overloaded; restart the daemon",
                PATIENCE.as_secs()
            ))
        })
    }

    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *lock(&self.0))
    }
}
