//! Clocks counted on the card.

use crate::{json, refused, seqnic, stderr, stdout};

#[test]
fn one_beat_frames_take_a_clock_each() {
    let args = [
        "bench",
        "rtl",
        "--services",
        "2000",
        "--frames",
        "40",
        "--lengths",
        "64,mix",
    ];
    let run = seqnic().args(args).arg("--json").assert().success();
    assert!(stderr(&run).contains("length mix: 40 frames"));
    let report = json(&run);
    let load = &report["loads"][0];
    assert_eq!(
        (&load["length"], &load["clocks"]),
        (&"64".into(), &40.into())
    );
    assert_eq!((&load["met"], &load["lost"]), (&true.into(), &0.into()));
    // Full load does not change what the pipeline takes: the whole run is a clock a frame and the latency.
    let latency = load["unloaded"]["median"].as_u64().unwrap();
    assert_eq!(load["clocks_whole"], 40 + latency);
    assert_eq!(report["overload"]["met"], true);

    let table = stdout(
        &seqnic()
            .args(args)
            .arg("--quiet")
            .assert()
            .success()
            .stderr(""),
    );
    let row = table.lines().find(|line| line.contains(" mix ")).unwrap();
    assert!(row.contains(" met "), "{table}");
    assert!(table.contains("| counted as output_full "), "{table}");
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is_built() {
    let bench = |option: &str, value: &str| {
        let args = ["bench", "rtl", "--quiet", option, value];
        seqnic()
            .args(args)
            .env("SEQNIC_CACHE", "/dev/null")
            .assert()
    };
    refused(
        bench("--lengths", "59"),
        2,
        "60 to 9216 bytes without FCS, or `mix`",
    );
    refused(
        bench("--lengths", "64,long"),
        2,
        "`long` is no frame length",
    );
    refused(
        bench("--geometry", "huge"),
        2,
        "possible values: alveo, edge",
    );
    refused(bench("--services", "7"), 2, "7 is not in 100..=200000");
    refused(bench("--services", "200000"), 2, "ask for fewer");
}
