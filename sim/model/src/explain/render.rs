//! An explanation as text for people.

use super::{CopyWords, Explanation, HashWords, Question};
use std::fmt::{Display, Formatter, Result};

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter) -> Result {
        writeln!(f, "{} bytes on port {}", self.length, self.port)?;
        writeln!(f, "  ethernet   {}", self.packet.ethernet)?;
        if let Some(taken) = &self.packet.taken_off {
            writeln!(f, "  taken off  {taken}")?;
        }
        if let Some(ip) = &self.packet.ip {
            writeln!(f, "  ip         {ip}")?;
        }
        if let Some(transport) = &self.packet.transport {
            writeln!(f, "  transport  {transport}")?;
        }
        if let Some(fault) = self.packet.fault {
            writeln!(f, "  fault      {fault}")?;
        }
        writeln!(f, "\ntables")?;
        for question in &self.questions {
            question.fmt(f)?;
        }
        let v = &self.verdict;
        writeln!(f, "\nverdict: {}", v.reason)?;
        writeln!(f, "  {}", v.meaning)?;
        for (name, value) in [("interface", &v.interface), ("sender", &v.sender)] {
            if let Some(value) = value {
                writeln!(f, "  {name:<10} {value}")?;
            }
        }
        if let Some(service) = &v.service {
            let label = v.label.as_deref().unwrap_or_default();
            let direction = v.direction.unwrap_or_default();
            writeln!(f, "  {:<10} {service} {label} {direction}", "service")?;
        }
        for (number, copy) in self.copies.iter().enumerate() {
            writeln!(f, "\ncopy {}", number + 1)?;
            copy.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for Question {
    fn fmt(&self, f: &mut Formatter) -> Result {
        writeln!(f, "  {:<16} {}", self.table, self.question)?;
        if let Some(asked) = &self.asked {
            writeln!(f, "  {:<16}   asked   {asked}", "")?;
        }
        writeln!(f, "  {:<16}   answer  {}", "", self.answer)?;
        match &self.hash {
            Some(hash) => writeln!(f, "  {:<16}   hash    {hash}", ""),
            None => Ok(()),
        }
    }
}

impl Display for HashWords {
    fn fmt(&self, f: &mut Formatter) -> Result {
        write!(f, "key {}, digest {}, buckets", self.key, self.digest)?;
        for way in &self.ways {
            write!(f, " {} (seed {})", way.bucket, way.seed)?;
        }
        match &self.hit {
            Some(hit) => write!(
                f,
                ", found in way {} row {} slot {}",
                hit.way, hit.row, hit.slot
            ),
            None => write!(f, ", in none of them"),
        }
    }
}

impl Display for CopyWords {
    fn fmt(&self, f: &mut Formatter) -> Result {
        let routed = if self.routed { " (routed)" } else { "" };
        writeln!(
            f,
            "  to {}{routed}, {}, port {}, {} bytes, action row {}",
            self.attachment, self.interface, self.port, self.length, self.action
        )?;
        if let Some(reason) = self.unsent {
            writeln!(f, "  not sent, {reason}: the host gets the packet instead")?;
        }
        for edit in &self.edits {
            writeln!(f, "  {:<22} {} -> {}", edit.field, edit.old, edit.new)?;
        }
        Ok(())
    }
}
