//! The card the configuration names.

use crate::config::{CardConfig, SoftwareConfig};
use crate::journal::{Journal, JournalError};
use seqnic_card::software::{PortConfig, SoftwareCard};
use seqnic_card::{Card, CardError};
use seqnic_device::{Device, Kept, Options};
use seqnic_spec::geometry::{self, Geometry};
use std::sync::Arc;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Card(#[from] CardError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("there is no geometry `{0}`")]
    Geometry(String),
}

/// Starts the software engine, or opens a card. One that is not there is tried again and again.
///
/// # Errors
/// The software engine cannot be started.
pub fn open(config: &CardConfig, journal: &Journal) -> Result<Arc<dyn Card>, OpenError> {
    match config {
        CardConfig::Software(software) => Ok(Arc::new(start(software)?)),
        CardConfig::At(at) => {
            let address = at.address.clone();
            let timeout = at.timeout;
            let connect = move || {
                let transport = seqnic_transport::open_with(&address, timeout)?;
                let options = Options {
                    timeout,
                    ..Options::default()
                };
                Device::open(transport, options)
            };
            let name = at.address.to_string();
            // Until it was met it is taken for the one the tables on disk were made for.
            let geometry: &'static Geometry = match journal.applied()? {
                Some((_, image)) => image.geometry,
                None => &geometry::ALVEO,
            };
            Ok(Arc::new(Kept::open(&name, geometry, Box::new(connect))))
        }
    }
}

fn start(software: &SoftwareConfig) -> Result<SoftwareCard, OpenError> {
    let geometry = geometry::by_name(&software.geometry)
        .ok_or_else(|| OpenError::Geometry(software.geometry.clone()))?;
    let mut ports = Vec::new();
    for (number, port) in &software.ports {
        let to = match (&port.interface, &port.tap) {
            (Some(name), _) => PortConfig::Interface(name.clone()),
            (None, Some(name)) => PortConfig::Tap(name.clone()),
            (None, None) => continue,
        };
        ports.push((*number, to));
    }
    Ok(SoftwareCard::start(geometry, ports)?)
}
