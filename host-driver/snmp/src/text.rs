//! The module `SEQNIC-MIB` as text (SMIv2, RFC 2578 to 2580).

use crate::mib::{
    CHUNK, CONFORMANCE_ARC, ENUMERATIONS, MODULE, NAME, NOTIFICATIONS, NOTIFICATIONS_ARC,
    OBJECTS_ARC, Object, ROOT, SCALARS, SCALARS_ARC, SHORT_NAME, Sent, Syntax, TABLES, Table,
    UPDATED,
};
use std::fmt::Write;

/// The whole module.
pub fn module() -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _never = write(&mut out);
    out
}

fn write(out: &mut String) -> std::fmt::Result {
    head(out)?;
    conventions(out)?;
    for (n, object) in SCALARS.iter().enumerate() {
        let access = match (object.notify_only, object.writable) {
            (true, _) => "accessible-for-notify",
            (false, true) => "read-write",
            (false, false) => "read-only",
        };
        let name = format!("seqnic{}", object.name);
        leaf(
            out,
            &name,
            object,
            access,
            &format!("seqnicEngine {}", n + 1),
        )?;
    }
    for table in TABLES {
        self::table(out, table)?;
    }
    for (n, notification) in NOTIFICATIONS.iter().enumerate() {
        let objects: Vec<String> = notification.sent.iter().map(|s| sent(*s)).collect();
        writeln!(
            out,
            "seqnic{} NOTIFICATION-TYPE\n    OBJECTS     {{ {} }}\n    STATUS      current\n    DESCRIPTION\n{}    ::= {{ seqnicNotifications {} }}\n",
            notification.name,
            objects.join(", "),
            quoted(notification.doc),
            n + 1
        )?;
    }
    conformance(out)?;
    writeln!(out, "END")
}

fn head(out: &mut String) -> std::fmt::Result {
    let arcs: Vec<String> = ROOT[6..].iter().map(u32::to_string).collect();
    writeln!(
        out,
        "{MODULE} DEFINITIONS ::= BEGIN

-- Printed by seqnic-snmp (option mib) from the objects it answers with; not edited by hand.

IMPORTS
    MODULE-IDENTITY, OBJECT-TYPE, NOTIFICATION-TYPE,
    Counter64, Gauge32, Integer32, TimeTicks, enterprises
        FROM SNMPv2-SMI
    TEXTUAL-CONVENTION
        FROM SNMPv2-TC
    MODULE-COMPLIANCE, OBJECT-GROUP, NOTIFICATION-GROUP
        FROM SNMPv2-CONF;

seqnicMIB MODULE-IDENTITY
    LAST-UPDATED \"{UPDATED}\"
    ORGANIZATION \"SeqNIC\"
    CONTACT-INFO \"See the documentation that comes with seqnicd.\"
    DESCRIPTION
{}    REVISION     \"{UPDATED}\"
    DESCRIPTION
{}    ::= {{ enterprises {} }}

seqnicNotifications OBJECT IDENTIFIER ::= {{ seqnicMIB {NOTIFICATIONS_ARC} }}
seqnicObjects       OBJECT IDENTIFIER ::= {{ seqnicMIB {OBJECTS_ARC} }}
seqnicConformance   OBJECT IDENTIFIER ::= {{ seqnicMIB {CONFORMANCE_ARC} }}
seqnicEngine        OBJECT IDENTIFIER ::= {{ seqnicObjects {SCALARS_ARC} }}
",
        quoted(
            "A packet sequencing engine: health, interfaces, services, devices, failures. \
             EXPERIMENTAL: no enterprise number is assigned; the module stands under the arc that net-snmp keeps for experiments, and will move."
        ),
        quoted("The first."),
        arcs.join(" "),
    )
}

fn conventions(out: &mut String) -> std::fmt::Result {
    for (name, size, doc) in [
        ("SeqnicName", NAME, "A name as definitions have them."),
        (
            "SeqnicShortName",
            SHORT_NAME,
            "A name that stands in an index with others. Rows with longer ones are left out and counted in seqnicRowsLeftOut.",
        ),
    ] {
        writeln!(
            out,
            "{name} ::= TEXTUAL-CONVENTION\n    DISPLAY-HINT \"{size}t\"\n    STATUS       current\n    DESCRIPTION\n{}    SYNTAX       OCTET STRING (SIZE (1..{size}))\n",
            quoted(doc)
        )?;
    }
    writeln!(
        out,
        "SeqnicText ::= TEXTUAL-CONVENTION\n    DISPLAY-HINT \"255t\"\n    STATUS       current\n    DESCRIPTION\n{}    SYNTAX       OCTET STRING (SIZE (0..255))\n",
        quoted("Text for people, in UTF-8; cut off where it is longer.")
    )?;
    writeln!(
        out,
        "SeqnicChunk ::= TEXTUAL-CONVENTION\n    DISPLAY-HINT \"{CHUNK}t\"\n    STATUS       current\n    DESCRIPTION\n{}    SYNTAX       OCTET STRING (SIZE (0..{CHUNK}))\n",
        quoted("A part of a definition, in UTF-8; parts end where characters do.")
    )?;
    for e in ENUMERATIONS {
        writeln!(
            out,
            "{} ::= TEXTUAL-CONVENTION\n    STATUS       current\n    DESCRIPTION\n{}    SYNTAX       INTEGER {{ {} }}\n",
            e.name,
            quoted(e.doc),
            (e.values.iter().enumerate())
                .map(|(n, v)| format!("{v}({})", n + 1))
                .collect::<Vec<_>>()
                .join(", ")
        )?;
    }
    Ok(())
}

fn syntax(syntax: Syntax) -> String {
    match syntax {
        Syntax::Name => String::from("SeqnicName"),
        Syntax::ShortName => String::from("SeqnicShortName"),
        Syntax::Text => String::from("SeqnicText"),
        Syntax::Chunk => String::from("SeqnicChunk"),
        Syntax::Counter64 => String::from("Counter64"),
        Syntax::Gauge32 => String::from("Gauge32"),
        Syntax::TimeTicks => String::from("TimeTicks"),
        Syntax::Integer(most) => format!("Integer32 (0..{most})"),
        Syntax::Enumeration(e) => String::from(e.name),
    }
}

fn leaf(out: &mut String, name: &str, object: &Object, access: &str, at: &str) -> std::fmt::Result {
    writeln!(
        out,
        "{name} OBJECT-TYPE\n    SYNTAX      {}\n    MAX-ACCESS  {access}\n    STATUS      current\n    DESCRIPTION\n{}    ::= {{ {at} }}\n",
        syntax(object.syntax),
        quoted(object.doc)
    )
}

fn table(out: &mut String, table: &Table) -> std::fmt::Result {
    let Table { name, arc, .. } = table;
    writeln!(
        out,
        "seqnic{name}Table OBJECT-TYPE\n    SYNTAX      SEQUENCE OF Seqnic{name}Entry\n    MAX-ACCESS  not-accessible\n    STATUS      current\n    DESCRIPTION\n{}    ::= {{ seqnicObjects {arc} }}\n",
        quoted(table.doc)
    )?;
    let index: Vec<String> = (table.columns[..table.index].iter())
        .map(|c| column(table, c))
        .collect();
    writeln!(
        out,
        "seqnic{name}Entry OBJECT-TYPE\n    SYNTAX      Seqnic{name}Entry\n    MAX-ACCESS  not-accessible\n    STATUS      current\n    DESCRIPTION\n{}    INDEX       {{ {} }}\n    ::= {{ seqnic{name}Table 1 }}\n",
        quoted(table.row),
        index.join(", ")
    )?;
    let fields: Vec<String> = (table.columns.iter())
        .map(|c| {
            // A SEQUENCE names types without their ranges.
            let kind = match c.syntax {
                Syntax::Integer(_) => String::from("Integer32"),
                other => syntax(other),
            };
            format!("    {:<28} {kind}", column(table, c))
        })
        .collect();
    writeln!(
        out,
        "Seqnic{name}Entry ::= SEQUENCE {{\n{}\n}}\n",
        fields.join(",\n")
    )?;
    for (n, c) in table.columns.iter().enumerate() {
        let access = match (n < table.index, c.writable) {
            (true, _) => "not-accessible",
            (false, true) => "read-write",
            (false, false) => "read-only",
        };
        let at = format!("seqnic{name}Entry {}", n + 1);
        leaf(out, &column(table, c), c, access, &at)?;
    }
    Ok(())
}

fn column(table: &Table, column: &Object) -> String {
    format!("seqnic{}{}", table.name, column.name)
}

fn sent(sent: Sent) -> String {
    match sent {
        Sent::Scalar(n) => format!("seqnic{}", SCALARS[n].name),
        Sent::Column(t, c) => column(&TABLES[t], &TABLES[t].columns[c]),
    }
}

fn conformance(out: &mut String) -> std::fmt::Result {
    let scalars = SCALARS.iter().map(|s| format!("seqnic{}", s.name));
    let columns =
        (TABLES.iter()).flat_map(|t| t.columns[t.index..].iter().map(move |c| column(t, c)));
    let objects: Vec<String> = scalars.chain(columns).collect();
    let notifications: Vec<String> = (NOTIFICATIONS.iter())
        .map(|n| format!("seqnic{}", n.name))
        .collect();
    let scalars = (SCALARS.iter()).map(|s| (format!("seqnic{}", s.name), s.writable));
    let columns =
        (TABLES.iter()).flat_map(|t| t.columns.iter().map(|c| (column(t, c), c.writable)));
    let writable: Vec<String> = scalars
        .chain(columns)
        .filter(|(_, writable)| *writable)
        .map(|(name, _)| {
            let doc = quoted("Nothing can be set unless the agent was started so.");
            format!("        OBJECT      {name}\n        MIN-ACCESS  read-only\n        DESCRIPTION\n    {}", doc.trim_end().replace('\n', "\n    ") + "\n")
        })
        .collect();
    let list = |names: &[String]| names.join(",\n                  ");
    writeln!(
        out,
        "seqnicGroups      OBJECT IDENTIFIER ::= {{ seqnicConformance 1 }}
seqnicCompliances OBJECT IDENTIFIER ::= {{ seqnicConformance 2 }}

seqnicObjectGroup OBJECT-GROUP
    OBJECTS     {{ {} }}
    STATUS      current
    DESCRIPTION
{}    ::= {{ seqnicGroups 1 }}

seqnicNotificationGroup NOTIFICATION-GROUP
    NOTIFICATIONS {{ {} }}
    STATUS      current
    DESCRIPTION
{}    ::= {{ seqnicGroups 2 }}

seqnicCompliance MODULE-COMPLIANCE
    STATUS      current
    DESCRIPTION
{}    MODULE
        MANDATORY-GROUPS {{ seqnicObjectGroup, seqnicNotificationGroup }}
{}    ::= {{ seqnicCompliances 1 }}
",
        list(&objects),
        quoted("All objects."),
        list(&notifications),
        quoted("All notifications."),
        quoted("What the agent of seqnicd has."),
        writable.concat()
    )
}

/// In quotes, wrapped; ends with a newline.
fn quoted(text: &str) -> String {
    const WIDTH: usize = 70;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() && line.len() + 1 + word.len() > WIDTH {
                lines.push(word.to_string());
            } else {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
        }
    }
    format!("        \"{}\"\n", lines.join("\n         "))
}
