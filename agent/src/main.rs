//! `weir-agent`: the agent as a process of its own.

use std::process::ExitCode;
use weir_agent::{Settings, run};

fn main() -> ExitCode {
    let (settings, task) = match Settings::from_process() {
        Ok(settings) => settings,
        Err(refused) => return refused.exit_code(),
    };
    match run::process(&settings, task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "weir-agent failed");
            ExitCode::FAILURE
        }
    }
}
