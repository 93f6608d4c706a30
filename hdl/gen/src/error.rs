//! What can be wrong with a module, found while it is generated.

use std::fmt;
use std::panic::Location;

/// Where in the Rust source a value was made or joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At(pub(crate) &'static Location<'static>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.file(), self.0.line())
    }
}

/// A signal as an error message shows it: its name (or what made it, and where) and its width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The signal's name, or a description of an unnamed one.
    pub name: String,
    /// Width in bits.
    pub width: u32,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({} bits)", self.name, self.width)
    }
}

/// One thing wrong with one module; [`crate::Module::finish`] returns all of them at once.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("module `{module}`: {kind} (at {at})")]
pub struct GenError {
    /// The module being built.
    pub module: String,
    /// The Rust source line which asked for it.
    pub at: At,
    /// What is wrong.
    pub kind: ErrorKind,
}

/// As the message: `unwrap` of a `Vec<GenError>` in a test then says what is wrong.
impl fmt::Debug for GenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The kinds of mistakes which the generator finds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// Two values must have one width and do not.
    #[error("{op}: {a} and {b} differ in width; extend or cut one of them explicitly")]
    WidthMismatch {
        /// The operation.
        op: &'static str,
        /// First value.
        a: Named,
        /// Second value.
        b: Named,
    },
    /// A value must have a width fixed by its place.
    #[error("{what}: {sig} must have {expected} bits")]
    WidthExpected {
        /// The place.
        what: String,
        /// The value given.
        sig: Named,
        /// The width needed there.
        expected: u32,
    },
    /// A slice or bit reaches over the end.
    #[error("slice of {width} bits from bit {lo} reaches outside of {sig}")]
    SliceOutside {
        /// The value cut.
        sig: Named,
        /// Lowest bit.
        lo: u32,
        /// Bits asked for.
        width: u32,
    },
    /// A constant does not fit.
    #[error("constant {value:#x} does not fit in {width} bits")]
    ConstTooWide {
        /// The constant.
        value: u128,
        /// Bits available.
        width: u32,
    },
    /// A width, depth or count is out of its range.
    #[error("{what} = {value} is out of range: {rule}")]
    Parameter {
        /// The parameter's name.
        what: String,
        /// Its value.
        value: u64,
        /// What it must satisfy.
        rule: &'static str,
    },
    /// A list which must not be empty is.
    #[error("{0} of an empty list")]
    Empty(&'static str),
    /// The value is no record, or has no such field.
    #[error("{sig} has no field `{field}`; it has: {known}")]
    NoField {
        /// The value.
        sig: Named,
        /// The field asked for.
        field: String,
        /// The fields there are.
        known: String,
    },
    /// Fields for a record are missing, doubled or unknown.
    #[error("record `{record}`: field `{field}` is {problem}")]
    RecordField {
        /// The record.
        record: String,
        /// The field.
        field: String,
        /// missing, given twice, unknown.
        problem: &'static str,
    },
    /// A value of a stage was put where time is not known.
    #[error("{sig} has stage {stage}, {what} has none; say `.unstaged()` if that is meant")]
    StageDropped {
        /// The value.
        sig: Named,
        /// Its stage.
        stage: u32,
        /// Where it was put.
        what: String,
    },
    /// A value is demanded earlier than it exists.
    #[error("{sig} exists at stage {stage} and cannot be had at the earlier stage {demanded}")]
    TooLate {
        /// The value.
        sig: Named,
        /// Its stage.
        stage: u32,
        /// The stage asked for.
        demanded: u32,
    },
    /// A stage was asked of a value which has none.
    #[error("{sig} has no stage to be moved from; say `.at_stage(n)` first")]
    NoStage {
        /// The value.
        sig: Named,
    },
    /// A signal of another module was used.
    #[error("{sig} belongs to module `{other}`; pass it through a port")]
    Foreign {
        /// The signal.
        sig: Named,
        /// The module which owns it.
        other: String,
    },
    /// Assigned twice: wire, register or memory port.
    #[error("`{0}` is assigned twice")]
    SetTwice(String),
    /// Never assigned: wire, register or memory.
    #[error("`{0}` is never assigned")]
    NeverSet(String),
    /// Combinational loop; the names lie on it in order of data flow.
    #[error("combinational loop: {}", .0.join(" -> "))]
    Loop(Vec<String>),
    /// Not usable as a Verilog name.
    #[error("`{name}` cannot be a name: {why}")]
    BadName {
        /// The name.
        name: String,
        /// The reason.
        why: &'static str,
    },
    /// Two ports, instances, memories or assertions have one name.
    #[error("{what} `{name}` exists twice")]
    NameTwice {
        /// port, instance, ...
        what: &'static str,
        /// The name.
        name: String,
    },
    /// An instance's port does not exist or is not connected.
    #[error("instance `{instance}` of `{child}`: port `{port}` {problem}")]
    Port {
        /// The instance.
        instance: String,
        /// The module instantiated.
        child: String,
        /// The port.
        port: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two different modules in one design have the same name.
    #[error("two different modules are both named `{0}`; put the parameters into the name")]
    ModuleTwice(String),
}
