//! What was found, kept in a folder: `definition.yaml`, `frames.txt`, `note.txt`.

use crate::packets::Frame;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Why a case folder cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    #[error("{path}: {source}")]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}, line {line}: `{text}` is no frame; write `<port> <bytes in hexadecimal>`")]
    Frame {
        path: PathBuf,
        line: usize,
        text: String,
    },
}

/// A definition with frames on which engines differed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub definition: String,
    pub frames: Vec<Frame>,
    /// What the difference was, in words.
    pub note: String,
}

impl Case {
    /// Writes the case; the folder is made if it is not there.
    pub fn save(&self, folder: &Path) -> Result<(), CaseError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| CaseError::File { path, source }
        };
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let mut frames = String::new();
        for frame in &self.frames {
            let _ = write!(frames, "{} ", frame.port);
            for byte in &frame.bytes {
                let _ = write!(frames, "{byte:02x}");
            }
            frames.push('\n');
        }
        for (name, text) in [
            ("definition.yaml", &self.definition),
            ("frames.txt", &frames),
            ("note.txt", &self.note),
        ] {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(failed(&path))?;
        }
        Ok(())
    }

    /// Reads a case. Its note may be missing.
    pub fn load(folder: &Path) -> Result<Case, CaseError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(|source| CaseError::File { path, source })
        };
        let text = read("frames.txt")?;
        let mut frames = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let frame = parse(line).ok_or_else(|| CaseError::Frame {
                path: folder.join("frames.txt"),
                line: n + 1,
                text: line.to_string(),
            })?;
            frames.push(frame);
        }
        Ok(Case {
            definition: read("definition.yaml")?,
            frames,
            note: read("note.txt").unwrap_or_default(),
        })
    }
}

fn parse(line: &str) -> Option<Frame> {
    let (port, hex) = line.split_once(' ')?;
    if !hex.is_ascii() || hex.is_empty() || !hex.len().is_multiple_of(2) {
        return None;
    }
    let bytes: Option<Vec<u8>> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok())
        .collect();
    Some(Frame {
        port: port.parse().ok()?,
        bytes: bytes?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_comes_back_as_it_was() {
        let folder = std::env::temp_dir().join(format!("seqnic-case-{}", std::process::id()));
        let case = Case {
            definition: "seqnic: 1\n".to_string(),
            frames: vec![Frame {
                port: 7,
                bytes: vec![0, 255, 16],
            }],
            note: "why".to_string(),
        };
        case.save(&folder).unwrap();
        assert_eq!(Case::load(&folder).unwrap(), case);
        std::fs::write(folder.join("frames.txt"), "1 00\n1 0g\n").unwrap();
        let error = Case::load(&folder).unwrap_err().to_string();
        assert!(error.contains("line 2: `1 0g`"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
