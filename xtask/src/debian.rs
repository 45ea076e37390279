//! The Debian packages that tests and tasks need, and their installation.

use crate::command_line::CommandLine;
use crate::steps::Outcome;
use anyhow::bail;
use std::ffi::OsStr;
use std::path::PathBuf;

/// A program that must be on the `PATH`, and the Debian package that brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    pub(crate) binary: &'static str,
    pub(crate) package: &'static str,
    pub(crate) needed_for: &'static str,
}

const fn tool(binary: &'static str, package: &'static str, needed_for: &'static str) -> Tool {
    Tool {
        binary,
        package,
        needed_for,
    }
}

/// What `cargo xtask test` needs.
pub(crate) const FOR_TESTS: &[Tool] = &[
    tool("curl", "curl", "publishing the way people do"),
    tool(
        "jq",
        "jq",
        "reading segments as the plain JSON they promise to be",
    ),
    tool(
        "python3",
        "python3",
        "a client that shares no code with ours",
    ),
    tool("pip3", "python3-pip", "`cargo xtask python`"),
    tool("php", "php-cli", "workers as people write them"),
    tool("node", "nodejs", "workers as people write them"),
    tool(
        "strace",
        "strace",
        "the order of syncs and answers as the kernel sees it",
    ),
    tool(
        "prometheus",
        "prometheus",
        "scraping our pages the way people do",
    ),
    tool(
        "prometheus-node-exporter",
        "prometheus-node-exporter",
        "figures of the same host to compare with",
    ),
    tool(
        "docker-compose",
        "docker-compose",
        "reading docker-compose.yaml the way Compose does",
    ),
    tool(
        "ip",
        "iproute2",
        "a network of its own for the services of docker-compose.yaml",
    ),
    tool("npm", "npm", "the dashboard's page"),
    tool(
        "kubectl",
        "kubernetes-client",
        "plain manifests and overlays as people build them",
    ),
    tool("chromium", "chromium", "the dashboard as people see it"),
    tool("crun", "crun", "pods as a cluster runs them"),
    tool("ip", "iproute2", "the network between pods"),
];

/// What `cargo xtask footprint --peers` compares with.
pub(crate) const PEERS: &[Tool] = &[
    tool("redis-server", "redis-server", "comparison"),
    tool("nats-server", "nats-server", "comparison"),
    tool(
        "prometheus-node-exporter",
        "prometheus-node-exporter",
        "comparison",
    ),
];

/// Installs what is missing, as root or with a sudo that asks no password.
///
/// # Errors
/// When neither is at hand; the message is the one command that installs everything.
pub(crate) fn ensure(tools: &[Tool]) -> anyhow::Result<Outcome> {
    let missing = missing(tools, |binary| find(binary).is_some());
    for tool in &missing {
        println!("{} is missing (for {})", tool.binary, tool.needed_for);
    }
    if missing.is_empty() {
        return Ok(Outcome::Passed);
    }
    let install = install_command(&missing);
    if find("apt-get").is_none() {
        let packages = packages(&missing);
        bail!("this is no Debian: install what its packages {packages} bring, by your own means");
    }
    // Keeps freshly installed servers from being started as services.
    let quietly = "RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive";
    let shell = |prefix: &str| {
        let script = install.replace("apt-get", &format!("{prefix}env {quietly} apt-get"));
        CommandLine::new("sh").arg("-c").arg(script)
    };
    if rustix::process::geteuid().is_root() {
        shell("").run()?;
    } else if CommandLine::parse("sudo -n true").succeeds() {
        shell("sudo -n ").run()?;
    } else {
        bail!("no right to install packages; run\n\n    sudo sh -c '{install}'\n");
    }
    Ok(Outcome::Passed)
}

/// The first executable of that name on the `PATH`.
pub(crate) fn find(binary: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    find_in(&path, binary)
}

fn find_in(path: &OsStr, binary: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|directory| directory.join(binary))
        .find(|candidate| candidate.is_file())
}

fn missing(tools: &[Tool], present: impl Fn(&str) -> bool) -> Vec<Tool> {
    let absent = tools.iter().filter(|tool| !present(tool.binary));
    absent.copied().collect()
}

fn packages(tools: &[Tool]) -> String {
    let names: Vec<_> = tools.iter().map(|tool| tool.package).collect();
    names.join(" ")
}

fn install_command(tools: &[Tool]) -> String {
    format!(
        "apt-get update && apt-get install -y --no-install-recommends {}",
        packages(tools)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_command_installs_all_that_is_missing_and_nothing_else() {
        let missing = missing(FOR_TESTS, |binary| !["jq", "python3"].contains(&binary));
        assert_eq!(
            install_command(&missing),
            "apt-get update && apt-get install -y --no-install-recommends jq python3"
        );
    }

    #[test]
    fn a_program_is_found_in_the_first_directory_that_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| directory.path().join(name));
        std::fs::create_dir_all(&first).unwrap();
        std::fs::create_dir_all(&second).unwrap();
        std::fs::write(second.join("jq"), "").unwrap();
        let path = std::env::join_paths([&first, &second]).unwrap();

        assert_eq!(find_in(&path, "jq"), Some(second.join("jq")));
        assert_eq!(find_in(&path, "yq"), None);
    }
}
