//! Where a card is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a card is, as it is written in configurations and on command lines.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A PCI function bound to `vfio-pci`: `0000:03:00.0`.
    Pci(Function),
    /// The socket of a vfio-user process: `unix:/run/seqnic/card.sock`.
    Unix(PathBuf),
}

/// A PCI function of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Function {
    pub domain: u32,
    pub bus: u8,
    pub device: u8,
    pub function: u8,
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Function {
            domain,
            bus,
            device,
            function,
        } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function}")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Address::Pci(function) => function.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no address of a card: write a PCI function (`0000:03:00.0`) or a vfio-user socket (`unix:/run/seqnic/card.sock`)"
)]
pub struct NoAddress(pub String);

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Address, NoAddress> {
        let bad = || NoAddress(text.to_string());
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.is_empty() {
                true => Err(bad()),
                false => Ok(Address::Unix(path.into())),
            };
        }
        function(text).map(Address::Pci).ok_or_else(bad)
    }
}

/// `domain:bus:device.function` in hexadecimal, as the kernel writes it; the domain may be left out.
fn function(text: &str) -> Option<Function> {
    let (rest, function) = text.rsplit_once('.')?;
    let mut parts = rest.rsplit(':');
    let device = hex(parts.next()?, 2)?;
    let bus = hex(parts.next()?, 2)?;
    let domain = match parts.next() {
        Some(domain) => hex(domain, 8)?,
        None => 0,
    };
    let function = hex(function, 1)?;
    if parts.next().is_some() || device > 31 || function > 7 {
        return None;
    }
    Some(Function {
        domain,
        bus: bus as u8,
        device: device as u8,
        function: function as u8,
    })
}

fn hex(text: &str, most: usize) -> Option<u32> {
    let good = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    good.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_read_and_written() {
        for (text, shown) in [
            ("0000:03:00.0", "0000:03:00.0"),
            ("03:1f.7", "0000:03:1f.7"),
            ("10000:e1:00.1", "10000:e1:00.1"),
            ("unix:/run/seqnic/card.sock", "unix:/run/seqnic/card.sock"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
        }
    }

    #[test]
    fn what_is_neither_is_refused_with_an_example() {
        for text in [
            "",
            "unix:",
            "eth0",
            "0:0:0:0.0",
            "00:20.0",
            "00:00.8",
            "00:00",
            "+1:00.0",
            "0:0.-1",
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{text}` is no address")),
                "{error}"
            );
            assert!(error.contains("0000:03:00.0"));
        }
    }
}
