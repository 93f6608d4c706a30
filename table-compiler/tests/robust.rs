//! Whatever the bytes are: no panic, and every error has a place in the file and a way out.

use proptest::prelude::*;
use seqnic_compiler::diagnostic::Diagnostic;
use seqnic_compiler::report::{locate, render};
use seqnic_compiler::{FileError, compile, read, read_file};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Text of every case and broken definition.
static TEXTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
    let cases = fs::read_dir(tests.join("cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("definition.yaml"));
    let broken = fs::read_dir(tests.join("broken-definitions"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    let mut paths: Vec<_> = cases.chain(broken).collect();
    paths.sort();
    let texts: Vec<String> = paths
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    assert!(texts.len() > 100);
    texts
});

fn sound(text: &str, errors: &[Diagnostic]) {
    assert!(!errors.is_empty(), "rejected without an error: {text:?}");
    for error in errors {
        assert!(!error.help.trim().is_empty(), "{error:?}");
        assert!(!error.message.trim().is_empty() && !error.labels.is_empty());
        for label in &error.labels {
            let end = label.span.offset + label.span.len;
            assert!(text.get(label.span.offset..end).is_some(), "{error:?}");
        }
    }
    let report = render(errors, "fuzz.yaml", text, false);
    assert!(report.contains(errors[0].code), "{report}");
    assert_eq!(locate(errors, "fuzz.yaml", text).len(), errors.len());
}

fn check(text: &str) {
    if let Err(errors) = read(text).and_then(|definition| compile(&definition)) {
        sound(text, &errors);
    }
}

/// One change of a text. Places are parts of 65,536 of its length.
#[derive(Debug, Clone)]
enum Change {
    Delete(u16, u8),
    Repeat(u16, u8),
    Insert(u16, String),
    DropLine(u16),
    SwapLines(u16, u16),
    /// A word becomes another word of the text.
    Word(u16, u16),
    Cut(u16),
}

fn place(text: &str, part: u16) -> usize {
    let mut at = text.len() * usize::from(part) / 65_536;
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn end(text: &str, from: usize, len: u8) -> usize {
    let mut at = (from + usize::from(len)).min(text.len());
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

fn words(text: &str) -> Vec<(usize, &str)> {
    text.split(|c: char| " \n[]{},".contains(c))
        .filter(|w| !w.is_empty())
        .map(|w| (w.as_ptr() as usize - text.as_ptr() as usize, w))
        .collect()
}

fn apply(text: &mut String, change: &Change) {
    match change {
        Change::Delete(at, len) => {
            let from = place(text, *at);
            text.replace_range(from..end(text, from, *len), "");
        }
        Change::Repeat(at, len) => {
            let from = place(text, *at);
            let part = text[from..end(text, from, *len)].to_owned();
            text.insert_str(from, &part);
        }
        Change::Insert(at, what) => text.insert_str(place(text, *at), what),
        Change::DropLine(at) => {
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            if !lines.is_empty() {
                lines.remove(lines.len() * usize::from(*at) / 65_536);
            }
            *text = lines.concat();
        }
        Change::SwapLines(a, b) => {
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            if !lines.is_empty() {
                let n = lines.len();
                lines.swap(n * usize::from(*a) / 65_536, n * usize::from(*b) / 65_536);
            }
            *text = lines.concat();
        }
        Change::Word(a, b) => {
            let all = words(text);
            if !all.is_empty() {
                let (at, old) = all[all.len() * usize::from(*a) / 65_536];
                let new = all[all.len() * usize::from(*b) / 65_536].1.to_owned();
                let range = at..at + old.len();
                text.replace_range(range, &new);
            }
        }
        Change::Cut(at) => text.truncate(place(text, *at)),
    }
}

fn change() -> impl Strategy<Value = Change> {
    let pieces = prop::sample::select(vec![
        "\0",
        "\t",
        "\n",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "&a ",
        "*a",
        "<<: *a\n",
        "!x ",
        "'",
        "\"",
        "|\n",
        ">",
        "#",
        "? ",
        "---\n",
        "...\n",
        "%YAML 9.9\n",
        "\u{feff}",
        "\r\n",
        "é",
        "💥",
        "~",
        "null",
        "true",
        "any",
        "none",
        "-1",
        "0",
        "65536",
        "99999999999999999999999",
        "1e999",
        ".inf",
        "ff:ff:ff:ff:ff:ff",
        "0.0.0.0",
        "::",
        "::ffff:1.2.3.4",
        "/0",
        "/33",
        "1-0",
        "firewall",
        "client",
        "copy: ",
        "device: ",
        "\u{85}",
        "\u{2028}",
        "\\",
        "\u{7f}",
        "@",
        "`",
    ])
    .prop_map(str::to_owned);
    prop_oneof![
        (any::<u16>(), any::<u8>()).prop_map(|(a, n)| Change::Delete(a, n % 16)),
        (any::<u16>(), any::<u8>()).prop_map(|(a, n)| Change::Repeat(a, n)),
        (any::<u16>(), pieces).prop_map(|(a, s)| Change::Insert(a, s)),
        (any::<u16>(), any::<String>()).prop_map(|(a, s)| Change::Insert(a, s)),
        any::<u16>().prop_map(Change::DropLine),
        (any::<u16>(), any::<u16>()).prop_map(|(a, b)| Change::SwapLines(a, b)),
        (any::<u16>(), any::<u16>()).prop_map(|(a, b)| Change::Word(a, b)),
        (any::<u16>(), any::<u16>()).prop_map(|(a, b)| Change::Word(a, b)),
        any::<u16>().prop_map(Change::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_definitions(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let mut text = which.get(&TEXTS).clone();
        for change in &changes {
            apply(&mut text, change);
        }
        check(&text);
    }

    #[test]
    fn any_text(text in any::<String>()) {
        check(&text);
        check(&format!("seqnic: 1\nname: {text}\n"));
    }
}

fn in_time(what: &str, text: &str) -> Vec<Diagnostic> {
    let start = Instant::now();
    let errors = read(text).expect_err(what);
    sound(text, &errors);
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{what}: {:?}",
        start.elapsed()
    );
    errors
}

#[test]
fn depth_and_aliases_are_limited() {
    for open in ["[", "{a: ", "- ", "? ", "a:\n "] {
        in_time("nesting", &format!("seqnic: {}", open.repeat(200_000)));
    }
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..20 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    let errors = in_time("alias bomb", &bomb);
    assert!(
        errors.iter().any(|e| e.code == "too_many_values"),
        "{errors:?}"
    );
    let mut bomb = "a0: &a0 { k: v }\n".to_owned();
    for n in 1..64 {
        bomb.push_str(&format!(
            "a{n}: &a{n} {{ x: *a{}, y: *a{} }}\n",
            n - 1,
            n - 1
        ));
    }
    in_time("merge bomb", &bomb);
}

#[test]
fn size_is_limited() {
    let large = format!("seqnic: 1\nname: {}\n", "x".repeat(64 << 20));
    let errors = in_time("64 MiB", &large);
    assert_eq!(errors[0].code, "file_too_large");
    let many = format!("seqnic: [{}]\n", "x,".repeat(5_000_000));
    let errors = in_time("many values", &many);
    assert!(errors.iter().any(|e| e.code == "too_many_values"));
    let errors = in_time(
        "many errors",
        &format!("seqnic: 1\n{}", "a: 1\n".repeat(20_000)),
    );
    assert_eq!(errors.len(), 20_001);
}

/// `read_file` of a file with `bytes`.
fn from_bytes(bytes: &[u8]) -> Result<(), FileError> {
    let path = std::env::temp_dir().join(format!("seqnic-robust-{}.yaml", std::process::id()));
    fs::write(&path, bytes).unwrap();
    let result = read_file(&path);
    fs::remove_file(&path).unwrap();
    result.map(|_| ())
}

#[test]
fn files_of_other_bytes_are_explained() {
    let Err(FileError::Rejected {
        text, diagnostics, ..
    }) = from_bytes(b"seqnic: 1\nname: \xff\xfe\n")
    else {
        panic!("not rejected");
    };
    assert_eq!(diagnostics[0].code, "not_utf8");
    assert_eq!(diagnostics[0].labels[0].span.offset, 16);
    sound(&text, &diagnostics);
    assert!(matches!(
        from_bytes(&[0; 100]),
        Err(FileError::Rejected { .. })
    ));
    let missing = read_file(Path::new("/no/such/definition.yaml")).unwrap_err();
    assert!(missing.to_string().contains("/no/such/definition.yaml"));
}

/// Suggestions cost a search of all names, so they end; the errors do not.
#[test]
fn many_unknown_names_are_reported_in_time() {
    let mut text =
        "seqnic: 1\ninterfaces: { i0: { port: 0, mac: 02:01:00:00:00:01 } }\n".to_owned();
    text.push_str("devices:\n");
    for n in 0..10_000 {
        text.push_str(&format!("  d{n}: {{ function: x, attachment: {{ interface: i0, mac: 02:02:00:00:{:02x}:{:02x} }} }}\n", n / 256, n % 256));
    }
    text.push_str("services:\n");
    for n in 0..10_000 {
        text.push_str(&format!(
            "  s{n}: {{ address: 198.51.{}.{}, port: 80, sequence: [e{n}] }}\n",
            n / 200,
            n % 200 + 1
        ));
    }
    let errors = in_time("unknown names", &text);
    let unknown = errors.iter().filter(|e| e.code == "unknown_device");
    assert_eq!(unknown.count(), 10_000);
}
