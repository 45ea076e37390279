//! `weir-broker`: the broker as a process of its own.

use std::process::ExitCode;
use weir_broker::{Settings, run};

fn main() -> ExitCode {
    let (settings, probe) = match Settings::from_process() {
        Ok(settings_and_probe) => settings_and_probe,
        Err(refused) => return refused.exit_code(),
    };
    if let Some(probe) = probe {
        return probe.send(settings.http.first().copied());
    }
    match run::process(&settings, |_| {}) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "weir-broker failed");
            ExitCode::FAILURE
        }
    }
}
