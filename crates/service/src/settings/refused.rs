use super::SettingsProblems;
use std::process::ExitCode;

/// Why the process does not start, ready to be shown.
#[derive(Debug)]
pub enum Refused {
    /// The flags are wrong, or help or the version was asked for.
    Flags(clap::Error),
    /// Settings are wrong.
    Settings(SettingsProblems),
}

impl Refused {
    /// Prints what there is to say; the code to end with: 0 after help, else 2.
    #[must_use]
    pub fn exit_code(self) -> ExitCode {
        let code = match &self {
            Self::Flags(error) => {
                // Nothing can be done where standard output and error are both closed.
                let _unprintable = error.print();
                error.exit_code()
            }
            Self::Settings(problems) => {
                eprintln!("{problems}");
                2
            }
        };
        ExitCode::from(u8::try_from(code).unwrap_or(2))
    }
}
