//! `host.info`: what seldom changes. The kernel's facts come from uname and sysinfo, the operating
//! system's name from the host's os-release, since sysinfo would read the container's.

use super::{Files, Identity};
use crate::sample::{InfoValues, Os, Uname};
use std::path::Path;
use sysinfo::{CpuRefreshKind, System};

const OS_RELEASE: &[&str] = &["/etc/os-release", "/usr/lib/os-release"];

pub(crate) fn collect(files: &mut Files, identity: &Identity) -> InfoValues {
    let mut uname = uname();
    if files.roots.is_foreign() {
        // uname(2) knows the pod's name, not the host's.
        uname.nodename.clone_from(&identity.node);
    }
    let (cpu_model, cores) = cpus();
    InfoValues {
        uname,
        os: os(files),
        cpu_model,
        cores,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: identity.labels.clone(),
    }
}

/// The processor's name and how many CPUs are online.
fn cpus() -> (String, u64) {
    let Ok(mut system) = System::new() else {
        return (String::new(), 0);
    };
    system.refresh_cpu_list(CpuRefreshKind::nothing());
    let cpus = system.cpus();
    let model = cpus.first().map_or("", |cpu| cpu.brand().trim());
    (model.to_owned(), cpus.len() as u64)
}

fn uname() -> Uname {
    let uname = rustix::system::uname();
    let text = |field: &std::ffi::CStr| field.to_string_lossy().into_owned();
    Uname {
        sysname: text(uname.sysname()),
        nodename: text(uname.nodename()),
        release: text(uname.release()),
        version: text(uname.version()),
        machine: text(uname.machine()),
        domainname: text(uname.domainname()),
    }
}

/// A host may do without the file; then it has no name.
fn os(files: &mut Files) -> Os {
    let mut paths = OS_RELEASE.iter();
    let found = paths.find_map(|path| {
        let path = files.roots.host(Path::new(path));
        files.text(&path, |text| Ok(parse_os_release(text))).ok()
    });
    found.unwrap_or_default()
}

/// Lines `NAME=value` or `NAME="value"`.
pub(crate) fn parse_os_release(text: &str) -> Os {
    let mut os = Os::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
        let field = match name.trim() {
            "ID" => &mut os.id,
            "NAME" => &mut os.name,
            "VERSION_ID" => &mut os.version_id,
            "PRETTY_NAME" => &mut os.pretty_name,
            _ => continue,
        };
        value.trim().trim_matches(['"', '\'']).clone_into(field);
    }
    os
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collectors::fixtures;

    #[test]
    fn os_release_is_read_with_and_without_quotes() {
        let os = parse_os_release("# x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\nX=1\n");
        assert_eq!(os.pretty_name, "Debian GNU/Linux 12");
        assert_eq!((os.id.as_str(), os.name.as_str()), ("debian", ""));
    }

    #[test]
    fn from_a_container_the_host_is_named_by_its_node() {
        let mut files = Files {
            roots: fixtures::roots("k8s-pod"),
            buffer: Vec::new(),
        };
        let identity = Identity {
            node: "node-7".into(),
            labels: [("zone".to_owned(), "b".to_owned())].into(),
        };
        let info = collect(&mut files, &identity);
        assert_eq!(info.uname.nodename, "node-7");
        assert_eq!(info.uname.sysname, "Linux");
        assert_eq!(info.os.id, "bottlerocket");
        assert_eq!(info.labels["zone"], "b");
        assert!(info.cores > 0);
    }
}
