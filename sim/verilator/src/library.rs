//! From generated Verilog to a shared library, built once and kept.
//!
//! The cache key is the digest of everything that goes in (Verilog, shim, flags, Verilator's
//! version), so a changed generator gives another library and an unchanged one costs nothing.

use crate::error::RtlError;
use crate::harness;
use seqnic_gen::Circuit;
use seqnic_pipeline::tables::config_reads_apart;
use seqnic_spec::geometry::Geometry;
use seqnic_spec::stage::PORT_META;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SHIM: &str = include_str!("shim.cpp");

/// What is built into a library: a module in its harness, and the C++ that drives it.
#[derive(Debug, Clone, Copy)]
pub struct Top<'a> {
    pub geometry: &'static Geometry,
    pub module: &'a Circuit,
    /// Text of the shim. It includes `<class>.h` and `ports.h`.
    pub shim: &'a str,
    /// Name of the class Verilator makes.
    pub class: &'a str,
    /// Ports with streams, as the shim's `SN_EACH_PORT` lists them.
    pub streams: &'a [String],
    pub text: Text,
}

/// Which of the texts of the modules is simulated; they do the same in every clock (docs/decisions.md, 49).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// That of `hdl/generated`, as synthesis takes it.
    Hardware,
    /// That in which what nobody looks at is not worked out: some 1.5 times as fast.
    Simulator,
}
const INSTALL: &str = "apt-get install verilator clang make";
const VERILATOR_FLAGS: &[&str] = &[
    "--cc",
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--noassert",
    "--output-split",
    "20000",
    "-Wno-fatal",
];
const CXX_FLAGS: &str = "-O2 -fPIC -march=native";
/// Compilers for the generated C++, the better one first: code by clang takes about a quarter less time.
const COMPILERS: [&str; 2] = ["clang++", "g++"];

/// Waveform kind a library is built with. Tracing costs 6 (VCD) to 25 times (FST) the speed, so it is
/// a library of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wave {
    None,
    Vcd,
    Fst,
}

impl Wave {
    /// Kind by the file's ending.
    pub fn of(path: &Path) -> Result<Wave, RtlError> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("vcd") => Ok(Wave::Vcd),
            Some("fst") => Ok(Wave::Fst),
            _ => Err(RtlError::Wave { path: path.into() }),
        }
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Wave::None => &[],
            Wave::Vcd => &["--trace", "--trace-structs"],
            Wave::Fst => &["--trace-fst", "--trace-structs"],
        }
    }
}

/// Folder of the cache: `SEQNIC_CACHE`, else the user's cache folder.
pub fn cache_dir() -> Result<PathBuf, RtlError> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    set("SEQNIC_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|p| p.join("seqnic")))
        .or_else(|| set("HOME").map(|p| p.join(".cache/seqnic")))
        .ok_or(RtlError::NoCache)
}

/// What the processor has, for which the library is compiled: it may not start on another. Empty where nobody says.
fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = info.lines().find(|l| l.starts_with("flags"));
    flags.unwrap_or_default().to_string()
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> RtlError + '_ {
    move |source| RtlError::Io {
        path: path.into(),
        source,
    }
}

/// Path of the library for `geometry`, built if it is not in the cache. `progress` gets a line for
/// each thing that takes time.
pub fn build(
    geometry: &'static Geometry,
    text: Text,
    wave: Wave,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, RtlError> {
    let core = seqnic_pipeline::top::build(geometry).map_err(|e| RtlError::Generate {
        geometry: geometry.name,
        what: e.to_string(),
    })?;
    let mut streams = port_names(geometry);
    streams.push("host".into());
    let top = Top {
        geometry,
        module: &core,
        shim: SHIM,
        class: "Vseqnic_core",
        streams: &streams,
        text,
    };
    build_top(&top, wave, progress)
}

/// Names of the Ethernet ports.
pub fn port_names(geometry: &Geometry) -> Vec<String> {
    (0..geometry.ports).map(|p| format!("p{p}")).collect()
}

/// As [`build`], for another module and shim.
pub fn build_top(
    top: &Top,
    wave: Wave,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, RtlError> {
    let geometry = top.geometry;
    // With a waveform every register is seen, also where nobody else looks at it.
    let modules = match (top.text, wave) {
        (Text::Simulator, Wave::None) => top.module.simulation(),
        _ => top.module.verilog(),
    };
    let mut files: Vec<_> = modules.into_iter().map(|f| (f.name, f.text)).collect();
    files.push((format!("{}.v", harness::TOP), harness::verilog(top.module)));
    let version = run("verilator", Command::new("verilator").arg("--version"))?;
    let (compiler, compiler_version) = compiler()?;
    let ports = ports_header(geometry, top.streams, wave);

    let mut digest = Sha256::new();
    for part in [
        &version.stdout[..],
        &compiler_version,
        top.shim.as_bytes(),
        ports.as_bytes(),
        CXX_FLAGS.as_bytes(),
    ] {
        digest.update(part);
    }
    for flag in VERILATOR_FLAGS.iter().chain(wave.flags()) {
        digest.update(flag);
    }
    digest.update(processor());
    for (name, text) in &files {
        digest.update(name);
        digest.update(text);
    }
    let mut key = String::new();
    for byte in &digest.finalize()[..8] {
        let _ = write!(key, "{byte:02x}");
    }

    let root = cache_dir()?.join("rtl");
    fs::create_dir_all(&root).map_err(io(&root))?;
    let dir = root.join(format!("{}-{key}", geometry.name));
    let library = dir.join("libseqnic_rtl.so");
    if library.exists() {
        return Ok(library);
    }
    // Two processes may want the same library: the second waits and finds it.
    let lock_path = root.join(format!("{}-{key}.lock", geometry.name));
    let lock = fs::File::create(&lock_path).map_err(io(&lock_path))?;
    lock.lock().map_err(io(&lock_path))?;
    if library.exists() {
        return Ok(library);
    }
    if dir.exists() {
        fs::remove_dir_all(&dir).map_err(io(&dir))?;
    }
    compile(&dir, compiler, &files, &ports, wave, top, progress)?;
    Ok(library)
}

/// The first of [`COMPILERS`] that is here, and what it says of itself.
fn compiler() -> Result<(&'static str, Vec<u8>), RtlError> {
    let mut missing = None;
    for program in COMPILERS {
        match run(program, Command::new(program).arg("--version")) {
            Ok(said) if said.status.success() => return Ok((program, said.stdout)),
            Ok(_) => {}
            Err(error) => missing = Some(error),
        }
    }
    Err(missing.unwrap_or_else(|| RtlError::Missing {
        program: COMPILERS[0],
        install: INSTALL,
        source: std::io::ErrorKind::NotFound.into(),
    }))
}

fn compile(
    dir: &Path,
    compiler: &'static str,
    files: &[(String, String)],
    ports: &str,
    wave: Wave,
    top: &Top,
    progress: &mut dyn FnMut(&str),
) -> Result<(), RtlError> {
    let (class, geometry) = (top.class, top.geometry);
    let verilog = dir.join("verilog");
    fs::create_dir_all(&verilog).map_err(io(&verilog))?;
    let put = |path: PathBuf, text: &str| fs::write(&path, text).map_err(io(&path));
    for (name, text) in files {
        put(verilog.join(name), text)?;
    }
    put(dir.join("ports.h"), ports)?;
    put(dir.join("shim.cpp"), top.shim)?;

    progress(&format!(
        "building the {} simulator (once; kept in {})",
        geometry.name,
        dir.display()
    ));
    progress("  1/3 verilator: RTL to C++");
    let mut verilator = Command::new("verilator");
    verilator
        .current_dir(dir)
        .args(VERILATOR_FLAGS)
        .args(wave.flags());
    verilator.args(["--top-module", harness::TOP, "--prefix", class]);
    verilator.args(["--Mdir", "obj", "-CFLAGS", CXX_FLAGS]);
    verilator.args(
        files
            .iter()
            .filter(|(name, _)| name.ends_with(".v"))
            .map(|(name, _)| format!("verilog/{name}")),
    );
    logged("verilator", &mut verilator, dir)?;

    progress("  2/3 C++ compiler");
    let runtime = runtime_objects(&dir.join(format!("obj/{class}_classes.mk")))?;
    let jobs = std::thread::available_parallelism().map_or(2, |n| n.get());
    let mut make = Command::new("make");
    make.current_dir(dir.join("obj")).args([
        "-s",
        "-f",
        &format!("{class}.mk"),
        &format!("-j{jobs}"),
    ]);
    make.args([
        &format!("CXX={compiler}"),
        &format!("LINK={compiler}"),
        "OPT_FAST=-O2",
        "OPT_SLOW=-O0",
        "OPT_GLOBAL=-O2",
        &format!("{class}__ALL.a"),
    ])
    .args(&runtime);
    logged("make", &mut make, dir)?;

    progress("  3/3 linking");
    let root = run(
        "verilator",
        Command::new("verilator").args(["--getenv", "VERILATOR_ROOT"]),
    )?;
    let include = PathBuf::from(String::from_utf8_lossy(&root.stdout).trim()).join("include");
    let mut link = Command::new(compiler);
    link.current_dir(dir)
        .args(["-std=gnu++17", "-shared", "-Wl,--no-undefined"])
        .args(CXX_FLAGS.split(' '));
    link.arg("-I.")
        .arg("-Iobj")
        .arg(format!("-I{}", include.display()));
    link.arg(format!("-I{}", include.join("vltstd").display()));
    link.args([
        "shim.cpp",
        "-o",
        "libseqnic_rtl.so.tmp",
        &format!("obj/{class}__ALL.a"),
    ]);
    link.args(runtime.iter().map(|o| format!("obj/{o}")))
        .args(["-pthread", "-latomic"]);
    if wave == Wave::Fst {
        link.arg("-lz");
    }
    logged(compiler, &mut link, dir)?;
    // The finished name appears last: a build cut off leaves nothing that looks complete.
    let (from, to) = (
        dir.join("libseqnic_rtl.so.tmp"),
        dir.join("libseqnic_rtl.so"),
    );
    fs::rename(&from, &to).map_err(io(&to))?;
    fs::remove_dir_all(dir.join("obj")).map_err(io(dir))
}

/// Objects of Verilator's own runtime that this model needs: which they are differs between versions,
/// the generated makefile names them.
fn runtime_objects(classes: &Path) -> Result<Vec<String>, RtlError> {
    let text = fs::read_to_string(classes).map_err(io(classes))?;
    let mut objects = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("VM_GLOBAL_FAST") || line.starts_with("VM_GLOBAL_SLOW") {
            inside = true;
        } else if inside {
            let word = line.trim().trim_end_matches('\\').trim();
            inside = !word.is_empty() && !word.starts_with('#');
            if inside {
                objects.push(format!("{word}.o"));
            }
        }
    }
    Ok(objects)
}

/// `ports.h`: what the shim must know of the geometry.
fn ports_header(geometry: &Geometry, streams: &[String], wave: Wave) -> String {
    let list: Vec<String> = streams.iter().map(|p| format!("X({p})")).collect();
    let trace = match wave {
        Wave::None => 0,
        Wave::Vcd => 1,
        Wave::Fst => 2,
    };
    format!(
        "#define SN_PORTS {}\n#define SN_BUS_BYTES {}\n#define SN_USER_BITS {}\n#define SN_READS_APART {}\n#define SN_TRACE {trace}\n#define SN_EACH_PORT(X) {}\n",
        geometry.ports,
        geometry.bus_bytes,
        PORT_META.width(),
        config_reads_apart(geometry),
        list.join(" ")
    )
}

fn run(program: &'static str, command: &mut Command) -> Result<Output, RtlError> {
    command.output().map_err(|source| RtlError::Missing {
        program,
        install: INSTALL,
        source,
    })
}

/// Runs a build step; its output goes to `build.log`, the end of it into the error.
fn logged(program: &'static str, command: &mut Command, dir: &Path) -> Result<(), RtlError> {
    let output = run(program, command)?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let log = dir.join("build.log");
    fs::write(&log, &text).map_err(io(&log))?;
    if output.status.success() {
        return Ok(());
    }
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(20)..].join("\n");
    Err(RtlError::Build { program, log, tail })
}
