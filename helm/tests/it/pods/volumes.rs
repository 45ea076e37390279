//! What a pod's volumes are on a node, and where a container has them.

use super::spec::{PodSpec, Volume, VolumeMount};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use weir_chart::Rendered;

/// The volumes of one pod.
pub(super) struct Volumes<'a> {
    pub(super) release: &'a Rendered,
    pub(super) spec: &'a PodSpec,
    pub(super) pod: &'a str,
    /// Where volumes lie on the node.
    pub(super) disk: &'a Path,
}

impl Volumes<'_> {
    /// A mount of a container, as the runtime is told.
    pub(super) fn mount(&self, mount: &VolumeMount) -> Value {
        let access = if mount.read_only { "ro" } else { "rw" };
        let propagation = match mount.mount_propagation.as_deref() {
            None => "rprivate",
            Some("HostToContainer") => "rslave",
            Some(other) => panic!("mountPropagation {other}"),
        };
        json!({
            "destination": mount.mount_path,
            "source": self.source(&mount.name),
            "type": "bind",
            "options": ["rbind", access, propagation],
        })
    }

    fn source(&self, name: &str) -> PathBuf {
        let volume = self.spec.volumes.iter().find(|volume| volume.name == name);
        match volume {
            // A template for claims, of a StatefulSet.
            None => self.claim(&format!("{name}-{}", self.pod)),
            Some(Volume {
                host_path: Some(host),
                ..
            }) => PathBuf::from(&host.path),
            Some(Volume {
                config_map: Some(map),
                ..
            }) => self.config_map(name, &map.name),
            Some(Volume {
                persistent_volume_claim: Some(claim),
                ..
            }) => self.claim(&claim.claim_name),
            Some(Volume {
                empty_dir: Some(_), ..
            }) => self.writable(&self.disk.join(self.pod).join(name)),
            Some(other) => panic!("{other:?}"),
        }
    }

    /// A volume that is still there when the pod is gone.
    fn claim(&self, name: &str) -> PathBuf {
        self.writable(&self.disk.join("claims").join(name))
    }

    /// Root's directory, which belongs to the pod's group: as a kubelet prepares it.
    fn writable(&self, path: &Path) -> PathBuf {
        fs::create_dir_all(path).unwrap();
        let group = self.spec.security_context.fs_group;
        chown(path, Some(0), Some(group.unwrap_or(0))).unwrap();
        let mode = if group.is_some() { 0o2775 } else { 0o755 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_owned()
    }

    fn config_map(&self, volume: &str, name: &str) -> PathBuf {
        let maps = self.release.objects.iter();
        let mut maps = maps.filter(|object| object.kind() == "ConfigMap");
        let map = maps.find(|map| map.name() == name);
        let map = map.unwrap_or_else(|| panic!("there is no ConfigMap {name}"));
        let place = self.disk.join(self.pod).join(volume);
        fs::create_dir_all(&place).unwrap();
        for (file, text) in map.at("/data").as_object().expect("data") {
            fs::write(place.join(file), text.as_str().unwrap()).unwrap();
        }
        place
    }
}
