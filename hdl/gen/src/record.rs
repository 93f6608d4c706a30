//! Records: how the bits of a value are divided into named fields.

use std::fmt::Write;
use std::sync::Arc;

/// One field of a [`Record`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordField {
    /// Name, as used in [`crate::Sig::field`].
    pub name: String,
    /// Width in bits.
    pub width: u32,
    /// Position of the lowest bit.
    pub offset: u32,
}

/// A named list of fields, packed least significant first. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record(Arc<Data>);

#[derive(Debug, PartialEq, Eq)]
struct Data {
    name: String,
    fields: Vec<RecordField>,
    width: u32,
}

impl Record {
    /// A record of `(field name, width in bits)`, packed least significant first.
    ///
    /// A field of width 0 or a doubled name is reported where the record is used.
    pub fn new<'a>(name: &str, fields: impl IntoIterator<Item = (&'a str, u32)>) -> Self {
        let mut offset = 0;
        let fields: Vec<_> = fields
            .into_iter()
            .map(|(name, width)| {
                let field = RecordField {
                    name: name.into(),
                    width,
                    offset,
                };
                offset += width;
                field
            })
            .collect();
        Record(Arc::new(Data {
            name: name.into(),
            fields,
            width: offset,
        }))
    }

    /// Name of the record.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Sum of the fields' widths, in bits.
    pub fn width(&self) -> u32 {
        self.0.width
    }

    /// The fields, lowest first.
    pub fn fields(&self) -> &[RecordField] {
        &self.0.fields
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&RecordField> {
        self.0.fields.iter().find(|f| f.name == name)
    }

    /// The name of the first field which has no bits or whose name was there before.
    pub(crate) fn bad_field(&self) -> Option<(&str, &'static str)> {
        self.fields().iter().enumerate().find_map(|(i, f)| {
            let before = &self.fields()[..i];
            if f.width == 0 {
                Some((f.name.as_str(), "zero bits wide"))
            } else if before.iter().any(|g| g.name == f.name) {
                Some((f.name.as_str(), "given twice"))
            } else {
                None
            }
        })
    }

    /// All field names, for error messages.
    pub(crate) fn names(&self) -> String {
        self.fields()
            .iter()
            .map(|f| f.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// `name [hi:lo]` of every field, highest last, for the comment at the top of a file.
    pub(crate) fn describe(&self) -> String {
        let mut out = String::new();
        for f in self.fields() {
            let sep = if out.is_empty() { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = match f.width {
                1 => write!(out, "{sep}{} [{}]", f.name, f.offset),
                w => write!(out, "{sep}{} [{}:{}]", f.name, f.offset + w - 1, f.offset),
            };
        }
        out
    }
}

impl From<&seqnic_spec::layout::Layout> for Record {
    fn from(layout: &seqnic_spec::layout::Layout) -> Self {
        Record::new(layout.name, layout.fields.iter().map(|f| (f.name, f.width)))
    }
}
