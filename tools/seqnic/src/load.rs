//! Definitions and images from files, told apart by their content.

use crate::failure::Failure;
use crate::terminal::Terminal;
use seqnic_compiler::definition::Definition;
use seqnic_compiler::diagnostic::Diagnostic;
use seqnic_compiler::{MAX_DEFINITION, Options, report};
use seqnic_image::Image;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A definition file with its text, which errors point into.
#[derive(Debug)]
pub struct DefinitionFile {
    pub name: String,
    pub text: String,
    pub definition: Definition,
}

/// Findings about a definition file.
#[derive(Debug)]
pub struct Findings {
    pub name: String,
    pub text: String,
    pub diagnostics: Vec<Diagnostic>,
}

impl Findings {
    /// Prints them for people and says that something was found.
    pub fn print(&self, terminal: Terminal) -> Failure {
        let colour = terminal.errors();
        let text = report::render(&self.diagnostics, &self.name, &self.text, colour);
        eprint!("{text}");
        Failure::Found
    }
}

/// A file that was read, or why not.
pub enum Unread {
    Findings(Findings),
    Failure(Failure),
}

impl Unread {
    pub fn print(self, terminal: Terminal) -> Failure {
        match self {
            Unread::Findings(findings) => findings.print(terminal),
            Unread::Failure(failure) => failure,
        }
    }
}

/// What tables come from. A definition has been compiled, so that all engines get what the
/// compiler takes.
pub struct Tables {
    pub image: Image,
    /// The definition, if that is what the file is.
    pub definition: Option<Definition>,
}

/// Bytes of an image that are read at most: several times what the largest geometry has.
const MAX_IMAGE: u64 = 4 << 30;

/// What a file holds. Of one that is no image no more is read than a definition may have and one byte, so that a device or a
/// pipe without end is refused and not read for ever.
fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = File::open(path)?;
        (&mut file)
            .take(MAX_DEFINITION as u64 + 1)
            .read_to_end(&mut bytes)?;
        if is_image(&bytes) {
            file.take(MAX_IMAGE).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    };
    read().map_err(|e| Failure::refused(format!("cannot read {}: {e}", path.display())))
}

/// Images start with their magic; nothing a definition can start with does.
fn is_image(bytes: &[u8]) -> bool {
    bytes.starts_with(&seqnic_image::file::MAGIC)
}

fn definition(path: &Path, bytes: Vec<u8>) -> Result<DefinitionFile, Unread> {
    let name = path.display().to_string();
    let (text, read) = match String::from_utf8(bytes) {
        Ok(text) => {
            let read = seqnic_compiler::read(&text);
            (text, read)
        }
        // Says where the text stops being text.
        Err(_) => match seqnic_compiler::read_file(path) {
            Ok(definition) => (String::new(), Ok(definition)),
            Err(seqnic_compiler::FileError::Rejected {
                text, diagnostics, ..
            }) => (text, Err(diagnostics)),
            Err(e) => return Err(Unread::Failure(Failure::refused(e))),
        },
    };
    match read {
        Ok(definition) => Ok(DefinitionFile {
            name,
            text,
            definition,
        }),
        Err(diagnostics) => Err(Unread::Findings(Findings {
            name,
            text,
            diagnostics,
        })),
    }
}

/// Reads a definition file; an image is refused.
pub fn read_definition(path: &Path) -> Result<DefinitionFile, Unread> {
    let bytes = bytes(path).map_err(Unread::Failure)?;
    if is_image(&bytes) {
        let message = format!(
            "{} is a table image, but a definition is wanted here",
            path.display()
        );
        return Err(Unread::Failure(Failure::Refused(message)));
    }
    definition(path, bytes)
}

/// Compiles a definition that has been read.
pub fn compile(file: DefinitionFile, options: Options) -> Result<(Image, Definition), Findings> {
    match seqnic_compiler::compile_with(&file.definition, options) {
        Ok(image) => Ok((image, file.definition)),
        Err(diagnostics) => Err(Findings {
            name: file.name,
            text: file.text,
            diagnostics,
        }),
    }
}

/// Reads an image, or reads and compiles a definition.
pub fn tables(path: &Path, terminal: Terminal) -> Result<Tables, Failure> {
    let bytes = bytes(path)?;
    if is_image(&bytes) {
        let image = seqnic_image::read(&bytes)
            .map_err(|e| Failure::refused(format!("{}: {e}", path.display())))?;
        return Ok(Tables {
            image,
            definition: None,
        });
    }
    // An image damaged at its start looks like nothing a person wrote: no line of it is worth showing.
    if bytes.is_empty() || bytes.contains(&0) {
        let is = if bytes.is_empty() {
            "is empty"
        } else {
            "is binary"
        };
        return Err(Failure::refused(format!(
            "{} {is}: neither a definition (YAML) nor a table image (it would start with `SEQNICIM`); give a file of one of the two",
            path.display()
        )));
    }
    let file = definition(path, bytes).map_err(|e| e.print(terminal))?;
    let (image, definition) =
        compile(file, Options::default()).map_err(|findings| findings.print(terminal))?;
    Ok(Tables {
        image,
        definition: Some(definition),
    })
}
