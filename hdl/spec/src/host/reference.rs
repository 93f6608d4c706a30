//! `docs/registers.md` and the host's part of `spec.json`: generated, never typed.

use super::{pci, registers, rings};
use crate::hash;
use crate::layout::Field;
use serde_json::{Value, json};
use std::fmt::Write;

/// Registers and rings as JSON.
pub fn host_json() -> Value {
    json!({
        "pci": {
            "vendor": pci::VENDOR_ID,
            "device": pci::DEVICE_ID,
            "class": pci::CLASS,
            "bar_registers": pci::BAR_REGISTERS,
            "bar_registers_bytes": pci::BAR_REGISTERS_BYTES,
            "vectors": rings::VECTORS,
        },
        "registers": registers::ALL.to_vec(),
        "rings": rings::Ring::ALL.map(|r| json!({"number": r as u8, "name": r.name(), "to_host": r.to_host()})),
        "ring_errors": rings::RingError::ALL,
        "records": rings::RECORDS,
        "line_bytes": rings::LINE_BYTES,
        "index_bits": rings::INDEX_BITS,
        "meta_at": rings::META_AT,
    })
}

/// CRC-32C of [`host_json`]: a driver and a card with equal digests understand each other.
pub fn host_digest() -> u32 {
    hash::digest(host_json().to_string().into_bytes())
}

fn fields(out: &mut String, fields: &[Field]) {
    let _ = writeln!(out, "| bits | field | meaning |\n| --- | --- | --- |");
    let mut at = 0;
    for f in fields {
        let bits = match f.width {
            1 => at.to_string(),
            w => format!("{}:{at}", at + w - 1),
        };
        let _ = writeln!(out, "| {bits} | `{}` | {} |", f.name, f.doc);
        at += f.width;
    }
    out.push('\n');
}

/// The protocol as `host/mod.rs` tells it: its documentation is the page's text.
fn protocol() -> String {
    include_str!("mod.rs")
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .skip(2)
        .map(|line| {
            let line = line.trim_start_matches("//!");
            let line = line.strip_prefix(' ').unwrap_or(line);
            match line.starts_with("# ") {
                true => format!("#{line}\n"),
                false => format!("{}\n", unlinked(line)),
            }
        })
        .collect()
}

/// `` [`registers::DOORBELL`] `` as `` `doorbell` ``.
fn unlinked(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("[`") {
        let Some((path, behind)) = after.split_once("`]") else {
            break;
        };
        let name = path.rsplit("::").next().unwrap_or(path).to_lowercase();
        let _ = write!(out, "{before}`{name}`");
        rest = behind;
    }
    out + rest
}

/// The reference as Markdown.
pub fn markdown() -> String {
    let mut out = String::from(
        "# The card in a host: registers and rings\n\nGenerated from `hdl/spec` by `seqnic spec --registers`; do not edit.\n\n",
    );
    out.push_str(&protocol());
    let _ = writeln!(
        out,
        "\n## PCI function\n\n| | |\n| --- | --- |\n| vendor, device | {:04x}:{:04x} (for development) |\n| class | {:06x} |\n| BAR {} | registers, {} bytes, 32-bit accesses |\n| BAR {} | MSI-X table and pending bits (the bridge's) |\n| MSI-X | {} vectors |\n| reset | function level reset: the host's side only |\n",
        pci::VENDOR_ID,
        pci::DEVICE_ID,
        pci::CLASS,
        pci::BAR_REGISTERS,
        pci::BAR_REGISTERS_BYTES,
        pci::BAR_MSIX,
        rings::VECTORS,
    );
    out.push_str("## Registers\n\n| offset | register | access | |\n| --- | --- | --- | --- |\n");
    let access = |r: &registers::Register| match r.access {
        registers::Access::Constant => "constant",
        registers::Access::Read => "read",
        registers::Access::ReadWrite => "read, write",
        registers::Access::Write => "write",
        registers::Access::ClearOnOne => "read, 1 clears",
    };
    for r in registers::ALL {
        let places = match r.count {
            1 => format!("0x{:04x}", r.offset),
            n => format!("0x{:04x} + {} * i, {n} of them", r.offset, r.stride),
        };
        let _ = writeln!(
            out,
            "| {places} | `{}` | {} | {} |",
            r.name,
            access(r),
            r.doc
        );
    }
    out.push('\n');
    for r in registers::ALL.iter().filter(|r| !r.fields.is_empty()) {
        let _ = writeln!(out, "### {}\n\n{}.\n", r.name, r.doc);
        fields(&mut out, r.fields);
    }
    out.push_str("## Records in rings\n\n");
    for layout in rings::RECORDS {
        let _ = writeln!(out, "### {}\n\n{}.\n", layout.name, layout.doc);
        fields(&mut out, layout.fields);
    }
    let _ = writeln!(
        out,
        "Metadata starts at bit {} of a header line to the host: `host_meta` ([tables.md](tables.md)) of packets, `row_meta` of rows, `snapshot_item` of counters.\n\n### ring_error\n\n| code | |\n| --- | --- |",
        rings::META_AT
    );
    for e in rings::RingError::ALL {
        let _ = writeln!(
            out,
            "| {} | {} |",
            e as u8,
            json!(e).as_str().unwrap_or_default()
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_register_and_tells_the_protocol() {
        let page = markdown();
        for r in registers::ALL {
            assert!(page.contains(&format!("| `{}` |", r.name)), "{}", r.name);
        }
        assert!(page.contains("## What each side checks"));
        assert!(page.contains("posted write to `doorbell`"));
        assert!(!page.contains("[`"));
    }
}
