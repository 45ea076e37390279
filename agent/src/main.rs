//! `weir-agent`: the agent as a process of its own.

use std::process::ExitCode;
use weir_agent::{Settings, Task, run};

fn main() -> ExitCode {
    let (settings, task) = match Settings::from_process() {
        Ok(settings) => settings,
        Err(refused) => return refused.exit_code(),
    };
    let ended = match task {
        Task::Ask(probe) => return probe.send(settings.http.address()),
        Task::PrintOnce => run::print_once(&settings),
        Task::Run => run::process(&settings),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "weir-agent failed");
            ExitCode::FAILURE
        }
    }
}
