//! `weir up`: everything in one process on one machine.
//!
//! Takes the settings of `weir-broker`, from the same table, and runs its library.

use crate::failure::Failure;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::path::Path;
use weir_broker::settings::{SETTINGS, Settings};
use weir_broker::{Running, run};
use weir_service::settings::{config_flag, flags};

/// The settings as given; read when the command runs.
#[derive(Clone, Debug)]
pub(crate) struct Up {
    matches: ArgMatches,
}

const EXAMPLES: &str = "\
Examples:
  weir up
  weir up --data-dir /tmp/weir --http 127.0.0.1:5005";

impl Args for Up {
    fn augment_args(command: Command) -> Command {
        command
            .about("Run a broker here")
            .long_about("Run a broker here, in this process, until Ctrl-C. Takes every setting of weir-broker.")
            .after_help(EXAMPLES)
            .arg(config_flag())
            .args(flags(SETTINGS))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Up {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            matches: matches.clone(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.matches = matches.clone();
        Ok(())
    }
}

/// Runs the broker until it is told to stop.
pub(crate) fn up(up: &Up) -> Result<(), Failure> {
    let settings = Settings::from_matches(&up.matches)
        .map_err(|problems| Failure::Usage(problems.to_string()))?;
    let data_dir = settings.broker.data_dir.clone();
    let show = |running: &Running| {
        if let Some(http) = running.http_address() {
            // Nobody may be reading; that must not stop the broker.
            let _unread = writeln!(stdout(), "{}", banner(http, &data_dir));
        }
    };
    run::process(&settings, show).map_err(|error| Failure::Failed(format!("{error:#}")))
}

/// What runs where, and what to try next.
fn banner(http: SocketAddr, data_dir: &Path) -> String {
    let data_dir = data_dir.display();
    format!(
        "
Weir is up. Ctrl-C stops it.

  broker   http://{http}   (/health, /ready, /metrics)
  data     {data_dir}   (one JSON object a line)

Try, in another terminal:
  curl -d '{{\"text\":\"Hello\"}}' http://{http}/v1/topics/hello/messages
  curl 'http://{http}/v1/topics/hello/messages?from=earliest'
  curl -N 'http://{http}/v1/topics/hello/stream?from=earliest'
  curl -X POST http://{http}/produce -d '{{\"topic\":\"hello\",\"message\":\"from MiniMQ\"}}'
  weir consume hello --group readers
  tail -f {data_dir}/hello/partition-0/*.log
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_has_lines_to_copy() {
        let banner = banner(([127, 0, 0, 1], 5005).into(), Path::new("./data"));
        assert!(banner.contains(
            "\n  curl -d '{\"text\":\"Hello\"}' http://127.0.0.1:5005/v1/topics/hello/messages\n"
        ));
    }
}
