//! The two kinds of machines that images are built for.

use crate::debian::Tool;
use clap::ValueEnum;

/// A kind of machine, by the names that containers, compilers and kernels give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    #[value(alias = "x86_64")]
    Amd64,
    #[value(alias = "aarch64")]
    Arm64,
}

const CROSS_TO_AMD64: &[Tool] = &[Tool {
    binary: "x86_64-linux-gnu-gcc",
    package: "gcc-x86-64-linux-gnu libc6-dev-amd64-cross",
    needed_for: "C code and linking for x86_64",
}];

const CROSS_TO_ARM64: &[Tool] = &[Tool {
    binary: "aarch64-linux-gnu-gcc",
    package: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    needed_for: "C code and linking for aarch64",
}];

const NATIVE: &[Tool] = &[Tool {
    binary: "gcc",
    package: "gcc libc6-dev",
    needed_for: "C code and linking",
}];

impl Arch {
    pub(crate) fn of_this_machine() -> Self {
        match std::env::consts::ARCH {
            "aarch64" => Self::Arm64,
            _ => Self::Amd64,
        }
    }

    /// As container images call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// As rustc and the C compilers call it. glibc and not musl: the same allocator, resolver and
    /// system calls as in the tests.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The C compiler and linker.
    pub(crate) fn compiler(self) -> &'static str {
        match (self, self == Self::of_this_machine()) {
            (_, true) => "gcc",
            (Self::Amd64, false) => "x86_64-linux-gnu-gcc",
            (Self::Arm64, false) => "aarch64-linux-gnu-gcc",
        }
    }

    pub(crate) fn tools(self) -> &'static [Tool] {
        match (self, self == Self::of_this_machine()) {
            (_, true) => NATIVE,
            (Self::Amd64, false) => CROSS_TO_AMD64,
            (Self::Arm64, false) => CROSS_TO_ARM64,
        }
    }

    /// `e_machine` of its ELF files.
    pub(crate) fn elf_machine(self) -> u16 {
        match self {
            Self::Amd64 => 62,
            Self::Arm64 => 183,
        }
    }
}
