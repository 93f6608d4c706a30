//! Which card this is; what is not this one is refused with both values.

use crate::error::{Error, Result};
use crate::registers::Registers;
use seqnic_spec::geometry::{self, Geometry};
use seqnic_spec::host::reference::host_digest;
use seqnic_spec::host::registers as reg;
use seqnic_spec::host::{pci, rings};
use seqnic_spec::{SPEC_VERSION, reference};
use std::sync::OnceLock;

/// Which card this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its address.
    pub card: String,
    pub geometry: &'static Geometry,
    pub spec_version: u32,
    /// SHA-1 of the commit it was built from, if it says so.
    pub source: Option<[u8; 20]>,
}

const OTHER_BUILD: &str = "; card and driver must be built from the same hdl/spec";

struct Digests {
    spec: u32,
    host: u32,
}

fn digests() -> &'static Digests {
    static DIGESTS: OnceLock<Digests> = OnceLock::new();
    DIGESTS.get_or_init(|| Digests {
        spec: reference::spec_digest(),
        host: host_digest(),
    })
}

impl Identity {
    /// Reads and checks who is there.
    ///
    /// # Errors
    /// Another vendor's, another version's, another geometry's card, with both values.
    pub fn read(registers: &Registers) -> Result<Identity> {
        let card = registers.card();
        let mut id = [0; 4];
        registers.transport().config_read(0, &mut id)?;
        let found = u32::from_le_bytes(id);
        if found == u32::MAX {
            return Err(gone(card, "its configuration space reads as all ones"));
        }
        let want = u32::from(pci::DEVICE_ID) << 16 | u32::from(pci::VENDOR_ID);
        let foreign = |what, found: String, expected: String, way_out| Error::Foreign {
            card: registers.card(),
            what,
            found,
            expected,
            way_out,
        };
        let shown = |id: u32| format!("{:04x}:{:04x}", id & 0xffff, id >> 16);
        if found != want {
            return Err(foreign("its PCI identity", shown(found), shown(want), ""));
        }
        let bytes = registers.transport().bar_length(pci::BAR_REGISTERS);
        if bytes < pci::BAR_REGISTERS_BYTES.into() {
            let want = pci::BAR_REGISTERS_BYTES.to_string();
            return Err(foreign("the length of BAR 0", bytes.to_string(), want, ""));
        }
        let magic = registers.read(&reg::MAGIC, 0)?;
        if magic == u32::MAX {
            return Err(gone(card, "its registers read as all ones"));
        }
        let hex = |value: u32| format!("{value:#010x}");
        for (what, register, want) in [
            ("its magic number", &reg::MAGIC, reg::MAGIC_VALUE),
            ("its spec version", &reg::SPEC_VERSION, SPEC_VERSION),
            (
                "its digest of tables and records",
                &reg::SPEC_DIGEST,
                digests().spec,
            ),
            (
                "its digest of registers and rings",
                &reg::HOST_DIGEST,
                digests().host,
            ),
        ] {
            let found = registers.read(register, 0)?;
            if found != want {
                return Err(foreign(what, hex(found), hex(want), OTHER_BUILD));
            }
        }
        let geometry = geometry(registers)?;
        let shape = registers.read(&reg::SHAPE, 0)?;
        for (what, field, want) in [
            ("its number of ports", "ports", geometry.ports),
            ("its number of rings", "rings", reg::RINGS),
            ("its number of vectors", "vectors", rings::VECTORS),
        ] {
            let found = reg::SHAPE.get(shape, field);
            if found != want {
                let (found, want) = (found.to_string(), want.to_string());
                return Err(foreign(what, found, want, OTHER_BUILD));
            }
        }
        Ok(Identity {
            card,
            geometry,
            spec_version: SPEC_VERSION,
            source: source(registers)?,
        })
    }
}

fn gone(card: String, what: &str) -> Error {
    Error::Transport(seqnic_transport::Error::Gone {
        card,
        what: what.to_string(),
    })
}

fn geometry(registers: &Registers) -> Result<&'static Geometry> {
    let mut name = Vec::new();
    for i in 0..reg::GEOMETRY_NAME.count {
        name.extend(registers.read(&reg::GEOMETRY_NAME, i)?.to_le_bytes());
    }
    let name = String::from_utf8_lossy(&name);
    let name = name.trim_end_matches('\0');
    let foreign = |what, found, expected| Error::Foreign {
        card: registers.card(),
        what,
        found,
        expected,
        way_out: OTHER_BUILD,
    };
    let Some(geometry) = geometry::by_name(name) else {
        let known = geometry::KNOWN.map(|g| g.name).join(", ");
        return Err(foreign(
            "its geometry",
            format!("`{}`", name.escape_default()),
            format!("one of {known}"),
        ));
    };
    let found = registers.read(&reg::GEOMETRY_DIGEST, 0)?;
    if found != geometry.digest() {
        let (found, want) = (
            format!("{found:#010x}"),
            format!("{:#010x}", geometry.digest()),
        );
        return Err(foreign("the digest of its geometry", found, want));
    }
    Ok(geometry)
}

fn source(registers: &Registers) -> Result<Option<[u8; 20]>> {
    let mut bytes = [0; 20];
    for (i, word) in (0..).zip(bytes.chunks_exact_mut(4)) {
        word.copy_from_slice(&registers.read(&reg::SOURCE_SHA, i)?.to_le_bytes());
    }
    Ok((bytes != [0; 20]).then_some(bytes))
}
