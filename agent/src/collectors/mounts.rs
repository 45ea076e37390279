//! The mount table: which filesystems of the host are real, each once.
//!
//! Bytes, not UTF-8: mount points are whatever somebody typed. procfs-core wants UTF-8 and refuses
//! the whole table for one odd line, so the parser is our own.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The device's numbers.
    pub(crate) device_number: (u32, u32),
    /// Which directory of the filesystem is mounted.
    pub(crate) fs_root: Vec<u8>,
    /// Where, as the owner of the table sees it.
    pub(crate) mountpoint: Vec<u8>,
    pub(crate) fstype: Vec<u8>,
    pub(crate) source: Vec<u8>,
    pub(crate) readonly: bool,
}

impl Mount {
    pub(crate) fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.mountpoint))
    }

    /// Whether reading it asks another machine or a program, and so may hang.
    pub(crate) fn is_remote(&self) -> bool {
        let fstype = self.fstype.as_slice();
        const KINDS: [&[u8]; 7] = [b"nfs", b"cifs", b"smb", b"fuse", b"ceph", b"gluster", b"9p"];
        KINDS.iter().any(|kind| fstype.starts_with(kind))
    }
}

/// Every line of mountinfo, in order.
pub(crate) fn parse(mountinfo: &[u8]) -> Result<Vec<Mount>, String> {
    let lines = mountinfo.split(|b| *b == b'\n');
    let mounts = lines.filter(|line| !line.is_empty()).map(|line| {
        parse_line(line).ok_or_else(|| format!("the line {:?}", String::from_utf8_lossy(line)))
    });
    mounts.collect()
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|b| *b == b' ');
    let device_number = device_number(words.nth(2)?)?;
    let fs_root = unescape(words.next()?);
    let mountpoint = unescape(words.next()?);
    let options = words.next()?;
    words.find(|word| *word == b"-")?;
    let fstype = words.next()?.to_vec();
    let source = unescape(words.next()?);
    let super_options = words.next().unwrap_or_default();
    Some(Mount {
        device_number,
        fs_root,
        mountpoint,
        fstype,
        source,
        readonly: has_ro(options) || has_ro(super_options),
    })
}

fn device_number(text: &[u8]) -> Option<(u32, u32)> {
    let (major, minor) = std::str::from_utf8(text).ok()?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn has_ro(options: &[u8]) -> bool {
    options.split(|b| *b == b',').any(|option| option == b"ro")
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| first == b'\\');
        match digits.and_then(octal) {
            Some(byte) => {
                plain.push(byte);
                rest = &after[3..];
            }
            None => {
                plain.push(first);
                rest = after;
            }
        }
    }
    plain
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

/// The real filesystems, each once, in the table's order: filtered, and where one directory of one
/// device is mounted several times, at the shortest mount point.
pub(crate) fn real(table: Vec<Mount>) -> Vec<Mount> {
    let mut best: HashMap<_, usize> = HashMap::new();
    let mounts = visible(table);
    let mounts: Vec<Mount> = mounts.into_iter().filter(is_real).collect();
    for (index, mount) in mounts.iter().enumerate() {
        let place = best.entry((mount.device_number, mount.fs_root.clone()));
        let kept = place.or_insert(index);
        if mount.mountpoint.len() < mounts[*kept].mountpoint.len() {
            *kept = index;
        }
    }
    let keep: Vec<usize> = best.into_values().collect();
    let mounts = mounts.into_iter().enumerate();
    let kept = mounts.filter(|(index, _)| keep.contains(index));
    kept.map(|(_, mount)| mount).collect()
}

/// Of several mounts at one place, only the last can be seen.
fn visible(table: Vec<Mount>) -> Vec<Mount> {
    let places = table.iter().enumerate();
    let last: HashMap<Vec<u8>, usize> = places
        .map(|(index, mount)| (mount.mountpoint.clone(), index))
        .collect();
    let seen = table.into_iter().enumerate();
    let seen = seen.filter(|(index, mount)| last.get(&mount.mountpoint) == Some(index));
    seen.map(|(_, mount)| mount).collect()
}

/// Filesystems that hold nobody's data, or another one's.
const UNREAL_TYPES: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fusectl",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "ramfs",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tmpfs",
    "tracefs",
];

/// Trees that belong to the kernel and to container runtimes.
const UNREAL_TREES: &[&str] = &[
    "/dev",
    "/proc",
    "/sys",
    "/run/containerd",
    "/run/credentials",
    "/run/k3s/containerd",
    "/run/netns",
    "/var/lib/containerd",
    "/var/lib/containers/storage",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/lib/rancher",
    "/snap",
    "/var/snap",
];

/// Files that container runtimes mount one by one.
const UNREAL_FILES: &[&str] = &["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

fn is_real(mount: &Mount) -> bool {
    let at = |place: &&str| mount.mountpoint == place.as_bytes();
    let below = |tree: &&str| {
        let rest = mount.mountpoint.strip_prefix(tree.as_bytes());
        rest.is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
    };
    let of_type = |fstype: &&str| mount.fstype == fstype.as_bytes();
    !UNREAL_TYPES.iter().any(of_type)
        && !UNREAL_TREES.iter().any(below)
        && !UNREAL_FILES.iter().any(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collectors::fixtures;

    fn shown(mountinfo: &[u8]) -> Vec<String> {
        let mounts = real(parse(mountinfo).unwrap()).into_iter();
        let shown = mounts.map(|m| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            format!(
                "{} {} {}",
                text(&m.source),
                text(&m.mountpoint),
                text(&m.fstype)
            )
        });
        shown.collect()
    }

    fn machine(name: &str) -> Vec<String> {
        let path = fixtures::machine(name).join("proc/1/mountinfo");
        shown(&std::fs::read(path).unwrap())
    }

    #[test]
    fn recorded_machines_have_their_real_filesystems_once() {
        assert_eq!(machine("firecracker"), ["/dev/vda / ext4"]);
        assert_eq!(
            machine("k8s-pod"),
            [
                "/dev/nvme0n1p3 / ext4",
                "/dev/nvme1n1p1 /local xfs",
                "/dev/nvme1n1p1 /var xfs"
            ]
        );
        assert_eq!(
            machine("nfs-server"),
            [
                "/dev/mapper/vg0-root / xfs",
                "/dev/sda1 /boot ext4",
                "/dev/md127 /srv/data ext4",
                "filer:/vol/home /home nfs4",
                "filer:/vol/scratch /mnt/old scratch nfs",
                "/dev/sdc1 /srv/b btrfs",
                "/dev/sdc1 /srv/b/snapshots btrfs",
            ]
        );
        assert_eq!(
            machine("old-kernel"),
            ["/dev/sda1 / ext3", "/dev/sda2 /var ext3"]
        );
        assert_eq!(
            machine("plain-vm"),
            ["/dev/vda1 / ext4", "/dev/vda15 /boot/efi vfat"]
        );
    }

    #[test]
    fn one_directory_of_one_device_appears_at_its_shortest_place() {
        let table = b"1 0 8:1 / /mnt/a rw - ext4 /dev/sda1 rw\n\
            2 0 8:1 / /a rw shared:1 - ext4 /dev/sda1 rw\n\
            3 0 8:1 /x /x rw - ext4 /dev/sda1 rw\n\
            4 0 8:2 / /b rw - ext4 /dev/sda2 rw\n";
        assert_eq!(
            shown(table),
            [
                "/dev/sda1 /a ext4",
                "/dev/sda1 /x ext4",
                "/dev/sda2 /b ext4"
            ]
        );
    }

    #[test]
    fn what_lies_under_another_mount_is_not_seen() {
        let table = b"1 0 0:30 / /net rw - autofs auto rw\n2 1 0:31 / /net rw - nfs4 h:/net rw\n\
            3 0 8:1 / /d rw - ext4 /dev/a rw\n4 3 0:32 / /d rw - tmpfs tmpfs rw\n";
        assert_eq!(shown(table), ["h:/net /net nfs4"]);
    }

    #[test]
    fn trees_are_left_out_but_not_their_namesakes() {
        let line = |place: &str| format!("1 0 8:1 / {place} rw - ext4 /dev/a rw\n");
        for place in [
            "/dev",
            "/dev/x",
            "/proc/1",
            "/var/lib/kubelet/pods/1/v",
            "/etc/hosts",
        ] {
            assert_eq!(shown(line(place).as_bytes()).len(), 0, "{place}");
        }
        for place in ["/", "/development", "/var/lib", "/systems", "/etc/hosts.d"] {
            assert_eq!(shown(line(place).as_bytes()).len(), 1, "{place}");
        }
    }

    #[test]
    fn names_are_bytes_and_escapes_are_undone() {
        let mounts = parse(b"1 0 8:1 / /a\\040b\\134\xff rw - ext4 /dev/sd\\011 ro\n").unwrap();
        assert_eq!(mounts[0].mountpoint, b"/a b\\\xff");
        assert_eq!(mounts[0].source, b"/dev/sd\t");
        assert!(mounts[0].readonly);
        assert_eq!(unescape(b"\\04"), b"\\04");
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(parse(b"1 0 8:1 / / rw ext4 /dev/a rw\n").is_err());
        assert!(parse(b"1 0 x / / rw - ext4 /dev/a rw\n").is_err());
        assert_eq!(parse(b""), Ok(vec![]));
    }
}
