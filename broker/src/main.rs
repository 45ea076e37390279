//! `weir-broker`: the broker as a process of its own.

use std::process::ExitCode;
use weir_broker::{Settings, run};

fn main() -> ExitCode {
    let settings = match Settings::from_process() {
        Ok(settings) => settings,
        Err(refused) => return refused.exit_code(),
    };
    match run::process(&settings, |_| {}) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "weir-broker failed");
            ExitCode::FAILURE
        }
    }
}
