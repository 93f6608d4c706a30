//! `seqnicd`.

use clap::{CommandFactory, Parser};
use seqnic_daemon::card;
use seqnic_daemon::config::{self, Config};
use seqnic_daemon::confine;
use seqnic_daemon::core::Core;
use seqnic_daemon::daemon::Daemon;
use seqnic_daemon::journal::Journal;
use seqnic_daemon::provisioner::Provisioner;
use seqnic_daemon::server;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Keeps a SeqNIC card at work: loads and changes its tables, answers its exceptions, watches its devices
#[derive(Debug, Parser)]
#[command(
    name = "seqnicd",
    version,
    after_help = "Examples:
  seqnicd --check /etc/seqnic/seqnicd.yaml
  seqnicd --config ./seqnicd.yaml
  seqnic apply fig07.yaml        (in another terminal: a definition for it)
  seqnic status

Exit codes:
  0  ended by SIGTERM or SIGINT
  1  the configuration was refused
  2  the command line is wrong
  3  the card, the journal or the system failed",
    max_term_width = 100
)]
struct Cli {
    /// Configuration (YAML)
    #[arg(long, value_name = "FILE", default_value = config::PATH)]
    config: PathBuf,
    /// Only say what is wrong in this configuration
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    check: Option<PathBuf>,
    /// Print the manual page
    #[arg(long, hide = true)]
    man: bool,
}

/// The manual page, for the package.
fn man() -> std::io::Result<()> {
    let page = clap_mangen::Man::new(Cli::command()).section("8");
    page.render(&mut std::io::stdout())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.man {
        return match man() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(3),
        };
    }
    let path = cli.check.as_ref().unwrap_or(&cli.config);
    let config = match config::read(path) {
        Ok(config) => config,
        Err(e) => {
            eprintln!("seqnicd: error: {e}");
            return ExitCode::from(1);
        }
    };
    if cli.check.is_some() {
        if let Err(e) = config::check_files(path, &config) {
            eprintln!("seqnicd: error: {e}");
            return ExitCode::from(1);
        }
        return ExitCode::SUCCESS;
    }
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("seqnicd: error: {e}");
            ExitCode::from(3)
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn run(config: Config) -> Result<(), Failure> {
    // Before there is a second thread: what a thread gave up, those it starts do not have.
    let confined = confine::confine(&config)?;
    let journal = Journal::open(&config.state)?;
    let card = card::open(&config.card, &journal)?;
    let (core, found) = Core::start_as(card, journal, config.pair.own())?;
    let listener = server::bind(&config.socket)
        .map_err(|e| format!("cannot listen at {}: {e}", config.socket.display()))?;
    let socket = config.socket.clone();
    let metrics = match config.metrics {
        None => None,
        Some(at) => {
            let server = tiny_http::Server::http(at);
            Some(server.map_err(|e| format!("cannot serve metrics at {at}: {e}"))?)
        }
    };
    let pair = seqnic_daemon::pair::listen(&config.pair).map_err(|e| {
        format!(
            "cannot tell the other engine at {:?}: {e}",
            config.pair.listen
        )
    })?;
    let provisioner = match config.provisioner.clone() {
        None => None,
        Some(own) => Some(Arc::new(Provisioner::bind(own, &config.updates)?)),
    };
    let daemon = Daemon::new(core, config, found);
    for line in confined {
        daemon.note(line);
    }
    let threads = daemon.run()?;
    let server = Arc::clone(&daemon);
    std::thread::Builder::new()
        .name(String::from("listener"))
        .spawn(move || server::serve(&listener, &server))?;
    if let Some(metrics) = metrics {
        let server = Arc::clone(&daemon);
        std::thread::Builder::new()
            .name(String::from("metrics"))
            .spawn(move || server.serve_metrics(&metrics))?;
    }
    if let Some(pair) = pair {
        let server = Arc::clone(&daemon);
        std::thread::Builder::new()
            .name(String::from("pair"))
            .spawn(move || server.tell_peer(&pair))?;
    }
    if let Some(provisioner) = &provisioner {
        let (listening, server) = (Arc::clone(provisioner), Arc::clone(&daemon));
        std::thread::Builder::new()
            .name(String::from("logons"))
            .spawn(move || listening.serve(&server))?;
        let (tended, server) = (Arc::clone(provisioner), Arc::clone(&daemon));
        std::thread::Builder::new()
            .name(String::from("keys"))
            .spawn(move || tended.tend(&server))?;
    }
    sd_notify::notify(&[sd_notify::NotifyState::Ready])?;
    if let Some(patience) = sd_notify::watchdog_enabled() {
        let alive = Arc::clone(&daemon);
        std::thread::Builder::new()
            .name(String::from("watchdog"))
            .spawn(move || {
                // A lock that nobody gives back stops this thread, and systemd the daemon.
                while alive.alive() {
                    let _untold = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
                    std::thread::sleep(patience / 3);
                }
            })?;
    }
    let mut signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGHUP,
    ])?;
    let stopper = Arc::clone(&daemon);
    std::thread::Builder::new()
        .name(String::from("signals"))
        .spawn(move || {
            for signal in signals.forever() {
                if signal != signal_hook::consts::SIGHUP {
                    break;
                }
                if let Some(provisioner) = &provisioner {
                    provisioner.look(&stopper, true);
                }
            }
            // Who does not listen to systemd needs not to be told.
            let _untold = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
            stopper.stop();
        })?;
    for thread in threads {
        thread
            .join()
            .map_err(|_| "a thread of the daemon panicked; see above")?;
    }
    let _gone_already = std::fs::remove_file(socket);
    Ok(())
}
