//! Every object of `SEQNIC-MIB`, once. The module's text and the agent both come from here.

/// Where all of it stands. No enterprise number is assigned to this project: this is a number of its own choosing
/// under the arc that net-snmp keeps for experiments (`netSnmpPlaypen`). It moves once there is one.
pub const ROOT: [u32; 10] = [1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 7367];

/// Name of the module.
pub const MODULE: &str = "SEQNIC-MIB";
/// Newest change of the module, in the form of its clause.
pub const UPDATED: &str = "202611290000Z";

/// Number of [`NOTIFICATIONS`] under the root.
pub const NOTIFICATIONS_ARC: u32 = 0;
/// Number of scalars and tables under the root.
pub const OBJECTS_ARC: u32 = 1;
/// Number of groups and compliance under the root.
pub const CONFORMANCE_ARC: u32 = 2;
/// Number of the scalars under the objects.
pub const SCALARS_ARC: u32 = 1;

/// Longest name that stands in an index by itself: the longest of a definition.
pub const NAME: usize = 100;
/// Longest of two that stand in one index together: an object identifier has 128 numbers at most (RFC 2578, 7.7).
pub const SHORT_NAME: usize = 50;
/// Longest part of a definition: a request with it fits into one packet of Ethernet.
pub const CHUNK: usize = 1024;

/// What kind of value an object has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// A name of the definition, at most [`NAME`] bytes.
    Name,
    /// One of several names in an index, at most [`SHORT_NAME`] bytes.
    ShortName,
    /// Up to 255 bytes of UTF-8.
    Text,
    /// A part of a definition, up to [`CHUNK`] bytes of UTF-8.
    Chunk,
    Counter64,
    Gauge32,
    /// Hundredths of a second.
    TimeTicks,
    /// From 0 to this.
    Integer(u32),
    /// One of a textual convention of [`ENUMERATIONS`].
    Enumeration(&'static Enumeration),
}

/// Values with names.
#[derive(Debug, PartialEq, Eq)]
pub struct Enumeration {
    pub name: &'static str,
    pub doc: &'static str,
    /// Numbered from 1.
    pub values: &'static [&'static str],
}

impl Enumeration {
    /// Number of a value; `None`: there is no such.
    pub fn number(&self, value: &str) -> Option<i32> {
        let place = self.values.iter().position(|v| *v == value)?;
        i32::try_from(place + 1).ok()
    }
}

pub static DEVICE_STATE: Enumeration = Enumeration {
    name: "SeqnicStanding",
    doc: "Whether a device takes part: up; suspected of having failed, which probes will tell; failed, so that its alternates stand in for it until it is restored on order.",
    values: &["up", "suspected", "failed"],
};
pub static LINK: Enumeration = Enumeration {
    name: "SeqnicLink",
    doc: "Link of a port; none: nothing is connected to it.",
    values: &["none", "up", "down"],
};
pub static PRESENCE: Enumeration = Enumeration {
    name: "SeqnicPresence",
    doc: "Whether the daemon reaches its card; unknown: the daemon itself does not answer.",
    values: &["up", "lost", "unknown"],
};
pub static DIRECTION: Enumeration = Enumeration {
    name: "SeqnicDirection",
    doc: "Towards the service, or back from it.",
    values: &["forward", "return"],
};
pub static ADMIN: Enumeration = Enumeration {
    name: "SeqnicAdmin",
    doc: "Whether a device is to take part: inService, or outOfService, so that its alternates stand in for it as if it had failed.",
    values: &["inService", "outOfService"],
};
pub static ORDER: Enumeration = Enumeration {
    name: "SeqnicOrder",
    doc: "What to do with an uploaded definition: nothing, as it always reads; clear what was uploaded and what came of it; check what it would change; apply it, as a whole or not at all.",
    values: &["idle", "clear", "check", "apply"],
};
pub static UPLOAD_STATE: Enumeration = Enumeration {
    name: "SeqnicOutcome",
    doc: "What came of the last order: none was given; checked and good; applied; refused, for the definition is at fault; failed, for the card or seqnicd is.",
    values: &["none", "good", "applied", "refused", "failed"],
};
/// All of them.
pub static ENUMERATIONS: [&Enumeration; 7] = [
    &PRESENCE,
    &LINK,
    &DEVICE_STATE,
    &DIRECTION,
    &ADMIN,
    &ORDER,
    &UPLOAD_STATE,
];

/// An object: a scalar, or a column of a table.
#[derive(Debug)]
pub struct Object {
    /// Behind the module's or the table's prefix.
    pub name: &'static str,
    pub syntax: Syntax,
    pub doc: &'static str,
    /// Only sent with notifications.
    pub notify_only: bool,
    /// May be set, if the agent was started so.
    pub writable: bool,
}

const fn object(name: &'static str, syntax: Syntax, doc: &'static str) -> Object {
    Object {
        name,
        syntax,
        doc,
        notify_only: false,
        writable: false,
    }
}

const fn writable(name: &'static str, syntax: Syntax, doc: &'static str) -> Object {
    Object {
        name,
        syntax,
        doc,
        notify_only: false,
        writable: true,
    }
}

const fn packets(name: &'static str, doc: &'static str) -> Object {
    object(name, Syntax::Counter64, doc)
}

/// Scalars, numbered from 1 under [`SCALARS_ARC`]. Names begin with `seqnic`.
pub static SCALARS: &[Object] = &[
    object(
        "CardState",
        Syntax::Enumeration(&PRESENCE),
        "Whether the card is there, and whether seqnicd is there to say so.",
    ),
    object(
        "Card",
        Syntax::Text,
        "The card as it calls itself; of a software engine its name.",
    ),
    object(
        "Geometry",
        Syntax::Name,
        "Sizes of the card's tables, by name.",
    ),
    object("Version", Syntax::Text, "Version of seqnicd."),
    object("UpTime", Syntax::TimeTicks, "Since seqnicd started."),
    object(
        "DefinitionName",
        Syntax::Text,
        "Name of the definition that holds; empty: none does.",
    ),
    object(
        "DefinitionFile",
        Syntax::Text,
        "What the definition was applied from.",
    ),
    object(
        "DefinitionDigest",
        Syntax::Text,
        "Digest of the tables that hold. Counters of a name that a change of the definition took away and gave back may start again from zero when this changes.",
    ),
    object("Services", Syntax::Gauge32, "Services of the definition."),
    object(
        "DevicesFailed",
        Syntax::Gauge32,
        "Devices that have failed and were not restored.",
    ),
    object(
        "ServicesUnavailable",
        Syntax::Gauge32,
        "Services with a role in which every device has failed.",
    ),
    object(
        "SnapshotTime",
        Syntax::Counter64,
        "The card's time in nanoseconds of the cut that all counters below belong to. Requests that find the same time were answered from one cut.",
    ),
    object(
        "RowsLeftOut",
        Syntax::Gauge32,
        "Rows that cannot be shown, because their names do not fit into an object identifier.",
    ),
    Object {
        name: "Noticed",
        syntax: Syntax::Text,
        doc: "What seqnicd noticed, in its own words; sent with notifications.",
        notify_only: true,
        writable: false,
    },
    object(
        "Repairs",
        Syntax::Counter64,
        "Rows of the card's tables that were not what was written to them, and were mended.",
    ),
    object(
        "RolesBypassed",
        Syntax::Gauge32,
        "Roles of services in which every device has failed and that are done without, as defined.",
    ),
    writable(
        "UploadOffset",
        Syntax::Gauge32,
        "Bytes of a definition that were uploaded. Set together with seqnicUploadChunk, to where the chunk goes, at most to what this reads: what was there and behind it is dropped, so a request that comes twice does the same as once.",
    ),
    writable(
        "UploadChunk",
        Syntax::Chunk,
        "Set together with seqnicUploadOffset: a part of a definition. Reads empty.",
    ),
    writable(
        "UploadOrder",
        Syntax::Enumeration(&ORDER),
        "What to do with what was uploaded. Set alone; the answer comes when it is done, and seqnicUploadState says what came of it.",
    ),
    object(
        "UploadState",
        Syntax::Enumeration(&UPLOAD_STATE),
        "What came of the last order.",
    ),
    object(
        "UploadResult",
        Syntax::Text,
        "The same in words: what was or would be written, or the first finding.",
    ),
];

/// Place of a scalar, by its name.
pub fn scalar(name: &str) -> Option<usize> {
    SCALARS.iter().position(|s| s.name == name)
}

/// Place of `Noticed` among the scalars.
pub const NOTICED: usize = 13;

/// A table. Its first columns are its index and not accessible.
#[derive(Debug)]
pub struct Table {
    /// Number under the objects.
    pub arc: u32,
    /// Prefix of its objects' names, behind `seqnic`.
    pub name: &'static str,
    pub doc: &'static str,
    pub row: &'static str,
    /// How many of the columns are the index.
    pub index: usize,
    /// Numbered from 1.
    pub columns: &'static [Object],
}

/// Places in [`TABLES`].
pub mod table {
    pub const REASON: usize = 0;
    pub const PORT: usize = 1;
    pub const INTERFACE: usize = 2;
    pub const SERVICE: usize = 3;
    pub const LOOK: usize = 4;
    pub const DEVICE: usize = 5;
    pub const ATTACHMENT: usize = 6;
    pub const RESPONSE: usize = 7;
    pub const RULE: usize = 8;
    pub const FAILURE: usize = 9;
    pub const HOST: usize = 10;
    pub const TEXT: usize = 11;
}

/// Column of a device's administrative state.
pub const DEVICE_ADMIN: usize = 4;

pub static TABLES: &[Table] = &[
    Table {
        arc: 2,
        name: "Reason",
        doc: "Packets by what became of them.",
        row: "A reason: every packet that arrives has exactly one. Copies dropped on their way out count in reasons of their own.",
        index: 1,
        columns: &[
            object(
                "Code",
                Syntax::Integer(63),
                "Number of the reason; 0: directed.",
            ),
            object("Name", Syntax::Name, "Name of the reason, as in logs."),
            packets("Packets", "Packets with this reason."),
            packets("Bytes", "Their bytes, without FCS."),
        ],
    },
    Table {
        arc: 3,
        name: "Port",
        doc: "Ports of the card.",
        row: "A port.",
        index: 1,
        columns: &[
            object(
                "Number",
                Syntax::Integer(255),
                "Number of the port, from 0.",
            ),
            object(
                "Link",
                Syntax::Enumeration(&LINK),
                "Whether its link is up.",
            ),
        ],
    },
    Table {
        arc: 4,
        name: "Interface",
        doc: "Interfaces of the definition that frames have passed.",
        row: "An interface.",
        index: 1,
        columns: &[
            object(
                "Name",
                Syntax::Name,
                "Name of the interface in the definition.",
            ),
            packets("InPackets", "Frames that arrived."),
            packets("InBytes", "Bytes that arrived, without FCS."),
            packets("OutPackets", "Frames sent."),
            packets("OutBytes", "Bytes sent, without FCS."),
        ],
    },
    Table {
        arc: 5,
        name: "Service",
        doc: "Services whose packets were counted, or that lack something.",
        row: "A service, all its looks together.",
        index: 1,
        columns: &[
            object(
                "Name",
                Syntax::Name,
                "Name of the service in the definition.",
            ),
            object(
                "UnavailableRoles",
                Syntax::Gauge32,
                "Roles of its sequence in which every device has failed.",
            ),
            packets(
                "ForwardPackets",
                "Directed packets towards the service, once for each leg.",
            ),
            packets("ForwardBytes", "Their bytes as they arrived, without FCS."),
            packets(
                "ReturnPackets",
                "Directed packets back from it, once for each leg.",
            ),
            packets("ReturnBytes", "Their bytes as they arrived, without FCS."),
        ],
    },
    Table {
        arc: 6,
        name: "Look",
        doc: "What packets of services look like on parts of their way.",
        row: "Protocol and ports of a service's packets, in one direction.",
        index: 3,
        columns: &[
            object(
                "Service",
                Syntax::ShortName,
                "Name of the service in the definition.",
            ),
            object(
                "Label",
                Syntax::ShortName,
                "Protocol and ports, such as tcp/80.",
            ),
            object(
                "Direction",
                Syntax::Enumeration(&DIRECTION),
                "Towards the service or back.",
            ),
            packets("Packets", "Directed packets."),
            packets("Bytes", "Their bytes as they arrived, without FCS."),
        ],
    },
    Table {
        arc: 7,
        name: "Device",
        doc: "Devices of the definition.",
        row: "A device.",
        index: 1,
        columns: &[
            object(
                "Name",
                Syntax::Name,
                "Name of the device in the definition.",
            ),
            object(
                "Function",
                Syntax::Text,
                "What it is, as the definition says.",
            ),
            object(
                "State",
                Syntax::Enumeration(&DEVICE_STATE),
                "Whether it takes part.",
            ),
            object(
                "ResponseTime",
                Syntax::Gauge32,
                "Mean time in nanoseconds until its packets came back, in the newest interval that had any; 0: not known; 4294967295: that or more.",
            ),
            writable(
                "Admin",
                Syntax::Enumeration(&ADMIN),
                "Whether it is to take part. Reads outOfService also where it has failed by itself; setting inService gives a failed device its place back, which nothing else does.",
            ),
        ],
    },
    Table {
        arc: 8,
        name: "Attachment",
        doc: "Places where devices and hosts are attached, that packets have passed.",
        row: "An attachment: a device, one side of a device with two, or a host.",
        index: 1,
        columns: &[
            object(
                "Name",
                Syntax::Name,
                "Name of the attachment: of a device's side with the side behind a dot.",
            ),
            packets("InPackets", "Frames it sent."),
            packets("InBytes", "Bytes it sent, without FCS."),
            packets("OutPackets", "Frames sent to it."),
            packets("OutBytes", "Bytes sent to it, without FCS."),
            packets(
                "Opened",
                "TCP connections opened towards it: packets with SYN and without ACK.",
            ),
            packets(
                "Answered",
                "Answers and refusals from it: packets with SYN and ACK, or RST.",
            ),
            packets(
                "LastSeen",
                "The card's time in nanoseconds of the last packet from it; 0: none yet.",
            ),
        ],
    },
    Table {
        arc: 9,
        name: "Response",
        doc: "Times until packets came back from attachments.",
        row: "How often a time was between half of the bound and the bound.",
        index: 2,
        columns: &[
            object("Attachment", Syntax::Name, "Name of the attachment."),
            object(
                "Bucket",
                Syntax::Integer(255),
                "Number of the bucket, from 0.",
            ),
            object(
                "Bound",
                Syntax::Gauge32,
                "Times below this, in nanoseconds; the last bucket has all others.",
            ),
            packets("Count", "Times in this bucket."),
            packets("Sum", "Sum of the times in this bucket, in nanoseconds."),
        ],
    },
    Table {
        arc: 10,
        name: "Rule",
        doc: "Rules of access control lists that decided about packets.",
        row: "A rule, or the default of rule sets.",
        index: 2,
        columns: &[
            object(
                "Acl",
                Syntax::ShortName,
                "Name of the rule set; of a default all sets it stands behind, joined by +.",
            ),
            object(
                "Name",
                Syntax::ShortName,
                "Name of the rule; if each client it names counts for itself, @ and the client behind it.",
            ),
            packets("Packets", "First packets it decided."),
            packets("Bytes", "Their bytes as they arrived, without FCS."),
            object(
                "Client",
                Syntax::Text,
                "Address or prefix of the client the rule is about, if it names one.",
            ),
        ],
    },
    Table {
        arc: 11,
        name: "Failure",
        doc: "Roles in which every device has failed. Empty: all services are whole.",
        row: "A role with nobody left.",
        index: 2,
        columns: &[
            object("Service", Syntax::ShortName, "Name of the service."),
            object(
                "Device",
                Syntax::ShortName,
                "Device the role is named after.",
            ),
            object(
                "State",
                Syntax::Enumeration(&DEVICE_STATE),
                "State of that device.",
            ),
        ],
    },
    Table {
        arc: 12,
        name: "Host",
        doc: "What became of packets that the card gave to the host.",
        row: "A reason and a deed.",
        index: 2,
        columns: &[
            object(
                "Reason",
                Syntax::ShortName,
                "Why the card gave it to the host.",
            ),
            object("Deed", Syntax::ShortName, "What seqnicd did with it."),
            packets("Packets", "Packets since seqnicd started."),
        ],
    },
    Table {
        arc: 13,
        name: "Text",
        doc: "The definition that holds, as it was given: all chunks in their order.",
        row: "A part of it.",
        index: 1,
        columns: &[
            object(
                "Part",
                Syntax::Integer(65535),
                "Number of the part, from 1.",
            ),
            object("Chunk", Syntax::Chunk, "The part."),
        ],
    },
];

/// An object sent with a notification.
#[derive(Debug, Clone, Copy)]
pub enum Sent {
    /// A scalar, by its place.
    Scalar(usize),
    /// A column of a table, by the table's place and the column's, in the row that the notification is about.
    Column(usize, usize),
}

/// What is told unasked.
#[derive(Debug)]
pub struct Notification {
    pub name: &'static str,
    pub doc: &'static str,
    pub sent: &'static [Sent],
}

/// Numbered from 1 under [`NOTIFICATIONS_ARC`], in the order of [`Event`].
pub static NOTIFICATIONS: &[Notification] = &[
    Notification {
        name: "DeviceFailed",
        doc: "A device has failed; its alternates stand in for it in all services.",
        sent: &[Sent::Column(table::DEVICE, 2), Sent::Scalar(NOTICED)],
    },
    Notification {
        name: "DeviceRestored",
        doc: "A failed device takes its place again.",
        sent: &[Sent::Column(table::DEVICE, 2), Sent::Scalar(NOTICED)],
    },
    Notification {
        name: "ServiceUnavailable",
        doc: "A role of a service has nobody left.",
        sent: &[Sent::Column(table::SERVICE, 1), Sent::Scalar(NOTICED)],
    },
    Notification {
        name: "ServiceAvailable",
        doc: "Every role of a service has somebody again.",
        sent: &[Sent::Column(table::SERVICE, 1), Sent::Scalar(NOTICED)],
    },
    Notification {
        name: "CardLost",
        doc: "seqnicd does not reach its card any more.",
        sent: &[Sent::Scalar(0), Sent::Scalar(NOTICED)],
    },
    Notification {
        name: "CardFound",
        doc: "seqnicd reaches its card again.",
        sent: &[Sent::Scalar(0), Sent::Scalar(NOTICED)],
    },
    Notification {
        name: "DefinitionChanged",
        doc: "Another definition holds.",
        sent: &[Sent::Scalar(5), Sent::Scalar(7), Sent::Scalar(NOTICED)],
    },
    Notification {
        name: "DaemonLost",
        doc: "seqnicd does not answer. What the card does is not changed by that.",
        sent: &[Sent::Scalar(0), Sent::Scalar(NOTICED)],
    },
    Notification {
        name: "DaemonFound",
        doc: "seqnicd answers again.",
        sent: &[Sent::Scalar(0), Sent::Scalar(NOTICED)],
    },
];

/// Numbers of [`NOTIFICATIONS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Event {
    DeviceFailed = 1,
    DeviceRestored,
    ServiceUnavailable,
    ServiceAvailable,
    CardLost,
    CardFound,
    DefinitionChanged,
    DaemonLost,
    DaemonFound,
}

impl Event {
    pub fn notification(self) -> &'static Notification {
        &NOTIFICATIONS[self as usize - 1]
    }
}
