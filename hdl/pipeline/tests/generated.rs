//! `hdl/generated` is what the generator writes: a change of the hardware is seen in review.

use seqnic_pipeline::generate;
use seqnic_spec::geometry;
use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn committed_verilog_is_what_is_generated() {
    for g in geometry::ALL {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../generated")
            .join(g.name);
        let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        let committed: BTreeMap<String, String> = entries
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, std::fs::read_to_string(&path).unwrap())
            })
            .collect();
        let generated = generate::files(g).unwrap();
        let differs: Vec<_> = committed
            .keys()
            .chain(generated.keys())
            .filter(|name| committed.get(*name) != generated.get(*name))
            .collect();
        assert!(
            differs.is_empty(),
            "run `make generate`: {differs:?} in {}",
            dir.display()
        );
    }
}

#[test]
fn committed_table_of_clocks_is_what_is_generated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/latency.md");
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == generate::latency().unwrap(),
        "run `make generate`: {}",
        path.display()
    );
}

#[test]
fn writing_leaves_nothing_of_an_older_version() {
    let dir = std::env::temp_dir().join(format!("seqnic-generate-{}", std::process::id()));
    let files = |names: &[&str]| {
        names
            .iter()
            .map(|n| (n.to_string(), format!("// {n}\n")))
            .collect()
    };
    let first: BTreeMap<_, _> = files(&["a.v", "b.v", "filelist.f"]);
    let second: BTreeMap<_, _> = files(&["b.v", "c.v", "filelist.f"]);
    generate::write(&first, &dir).unwrap();
    std::fs::write(dir.join("notes.txt"), "mine").unwrap();
    generate::write(&second, &dir).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["b.v", "c.v", "filelist.f", "notes.txt"]);
    assert_eq!(
        std::fs::read_to_string(dir.join("c.v")).unwrap(),
        "// c.v\n"
    );
    std::fs::remove_dir_all(&dir).unwrap();
}
