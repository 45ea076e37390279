//! `host.network`: the host's interfaces, from init's net/dev by procfs-core and the link's speed
//! from /sys.

use super::{CollectError, Files};
use crate::sample::{Interface, NetworkValues};
use procfs_core::FromBufRead;
use procfs_core::net::{DeviceStatus, InterfaceDeviceStatus};
use std::path::Path;

/// The host's ends of containers' interfaces: many, short-lived, and nobody's alarm.
const LEFT_OUT: &[&str] = &["veth", "cali", "lxc", "cni", "flannel"];

pub(crate) fn collect(files: &mut Files) -> Result<NetworkValues, CollectError> {
    let path = files.roots.of_host_process("net/dev");
    let mut interfaces = files.bytes(&path, parse)?;
    let class = files.roots.sysfs.join("class/net");
    for interface in &mut interfaces {
        interface.speed_bytes = speed_bytes(files, &class, &interface.device);
    }
    Ok(NetworkValues { interfaces })
}

/// The interfaces that are sent, in order of name.
pub(crate) fn parse(net_dev: &[u8]) -> Result<Vec<Interface>, String> {
    if !net_dev.starts_with(b"Inter-|") {
        return Err("the head of the table is missing".to_owned());
    }
    let status = InterfaceDeviceStatus::from_buf_read(net_dev).map_err(|e| e.to_string())?;
    let status = status.0.into_values();
    let mut interfaces: Vec<Interface> = status.filter(is_sent).map(emit).collect();
    interfaces.sort_by(|one, other| one.device.cmp(&other.device));
    Ok(interfaces)
}

fn is_sent(status: &DeviceStatus) -> bool {
    !LEFT_OUT.iter().any(|kind| status.name.starts_with(kind))
}

fn emit(status: DeviceStatus) -> Interface {
    Interface {
        device: status.name,
        receive_bytes: status.recv_bytes,
        receive_packets: status.recv_packets,
        receive_errs: status.recv_errs,
        receive_drop: status.recv_drop,
        transmit_bytes: status.sent_bytes,
        transmit_packets: status.sent_packets,
        transmit_errs: status.sent_errs,
        transmit_drop: status.sent_drop,
        speed_bytes: None,
    }
}

/// Down links and virtual ones have no speed: the read fails, or says -1.
fn speed_bytes(files: &mut Files, class: &Path, device: &str) -> Option<u64> {
    const BYTES_OF_MEGABIT: u64 = 1_000_000 / 8;
    let path = class.join(device).join("speed");
    let megabits: i64 = files
        .text(&path, |text| text.trim().parse().map_err(|_| String::new()))
        .ok()?;
    u64::try_from(megabits).ok()?.checked_mul(BYTES_OF_MEGABIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collectors::fixtures;

    fn names(machine: &str) -> Vec<String> {
        let table = fixtures::read(machine, "proc/1/net/dev");
        let interfaces = parse(table.as_bytes()).unwrap();
        interfaces.into_iter().map(|i| i.device).collect()
    }

    #[test]
    fn interfaces_of_containers_are_left_out() {
        assert_eq!(names("k8s-pod"), ["ens5", "kube-ipvs0", "lo"]);
        assert_eq!(names("nfs-server"), ["bond0", "eno1", "eno2", "lo"]);
        assert_eq!(names("firecracker"), ["eth0", "ifb0", "ifb1", "lo"]);
    }

    #[test]
    fn columns_are_the_kernels() {
        let table = fixtures::read("old-kernel", "proc/1/net/dev");
        let eth0 = parse(table.as_bytes()).unwrap().swap_remove(0);
        let expected = Interface {
            device: "eth0".into(),
            receive_bytes: 3_804_182_911,
            receive_packets: 41_231_088,
            receive_errs: 2,
            receive_drop: 17,
            transmit_bytes: 2_019_388_812,
            transmit_packets: 38_710_422,
            transmit_errs: 3,
            transmit_drop: 4,
            speed_bytes: None,
        };
        assert_eq!(eth0, expected);
    }

    #[test]
    fn a_link_has_its_speed_and_one_that_is_down_has_none() {
        let mut files = Files {
            roots: fixtures::roots("nfs-server"),
            buffer: Vec::new(),
        };
        let speeds = collect(&mut files).unwrap().interfaces;
        let speeds: Vec<_> = speeds.iter().map(|i| i.speed_bytes).collect();
        assert_eq!(
            speeds,
            [Some(2_500_000_000), Some(1_250_000_000), None, None]
        );
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(parse(b"").is_err());
        assert!(parse(b"Inter-| x\n face |y\n  eth0: 1 2 3\n").is_err());
    }
}
