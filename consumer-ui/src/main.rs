//! `weir-ui`: the dashboard as a process of its own.

use std::process::ExitCode;
use weir_service::telemetry::TelemetryError;
use weir_ui::{Settings, run};

fn main() -> ExitCode {
    let (settings, probe) = match Settings::from_process() {
        Ok(settings_and_probe) => settings_and_probe,
        Err(refused) => return refused.exit_code(),
    };
    if let Some(probe) = probe {
        return probe.send(Some(settings.http));
    }
    match run::process(&settings, |_| {}) {
        Ok(()) => ExitCode::SUCCESS,
        // Without logging nobody would hear a log line.
        Err(error) if error.is::<TelemetryError>() => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "weir-ui failed");
            ExitCode::FAILURE
        }
    }
}
