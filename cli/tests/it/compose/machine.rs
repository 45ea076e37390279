//! Containers without a container engine: a network of their own in which each service has its name
//! and all its ports, and for each service a root that holds its binary and its mounts.
//!
//! Unlike under an engine, all services share one address, and the debug binaries are not static, so
//! that a root also has this machine's libraries.

use super::file::{Mount, Service};
use crate::support::{binaries, eventually};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// Keeps the namespaces until its input ends, which it does with the test, however that ends.
const HOLD: &str = "ip link set lo up && echo ready && exec cat";

/// What a root has besides its own: all that a dynamic binary needs.
const LIBRARIES: [&str; 4] = ["/usr", "/bin", "/lib", "/lib64"];

/// The network, and the place of the roots.
pub(super) struct Machine {
    holder: Child,
    directory: TempDir,
    names: Vec<String>,
}

/// A started service; killed when dropped.
pub(super) struct Running {
    service: Service,
    process: Child,
    log: PathBuf,
}

impl Machine {
    /// A network that knows these services by name.
    pub(super) fn start(services: &[&Service]) -> Self {
        let directory = TempDir::new().unwrap();
        // The users of the containers pass through it.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "--mount"]);
        if !is_root() {
            unshare.arg("--map-root-user");
        }
        let mut holder = unshare
            .args(["sh", "-c", HOLD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
        let ready = lines.next().is_some_and(|line| line.unwrap() == "ready");
        assert!(
            ready,
            "no namespaces of one's own: `unshare` must be allowed"
        );
        let names = services.iter().map(|service| service.name.clone());
        Self {
            names: names.collect(),
            holder,
            directory,
        }
    }

    /// Starts the service as its container would: its user, without capabilities, on a read-only root.
    pub(super) fn start_service(&self, service: &Service) -> Running {
        self.make_root(service);
        let log = self.directory.path().join(format!("{}.log", service.name));
        let file = fs::File::create(&log).unwrap();
        let arguments = service.list("command");
        let process = self
            .inside(service, &entry_point(service), &arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Running {
            service: service.clone(),
            process,
            log,
        }
    }

    /// Runs one command in a service's container, made if it is not there.
    pub(super) fn run(&self, service: &Service, arguments: &[String]) -> Output {
        self.make_root(service);
        let entry_point = entry_point(service);
        let mut command = self.inside(service, &entry_point, arguments);
        command.output().unwrap()
    }

    /// Waits until the service's own health check succeeds.
    pub(super) fn wait_until_healthy(&self, running: &mut Running) {
        let check = running.service.health_check().unwrap();
        let (program, arguments) = check.split_first().unwrap();
        let what = format!("healthy {}", running.service.name);
        eventually(&what, || {
            running.check_alive();
            let mut check = self.inside(&running.service, program, arguments);
            let answer = check.output().unwrap();
            answer.status.success().then_some(())
        });
    }

    /// What `url` answers inside the network.
    pub(super) fn get(&self, url: &str) -> Option<String> {
        let mut curl = self.enter();
        curl.args(["curl", "-sf", "--max-time", "10", url]);
        let output = curl.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        output.status.success().then_some(text)
    }

    /// The root of a service, mounted anew only where it is not.
    fn make_root(&self, service: &Service) {
        let root = self.root(service);
        if root.exists() {
            return;
        }
        fs::create_dir(&root).unwrap();
        let script = self.mount_script(service, &root);
        let made = self.enter().args(["sh", "-euc", &script]).output().unwrap();
        let errors = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{script}: {errors}");
    }

    fn mount_script(&self, service: &Service, root: &Path) -> String {
        let root = root.display();
        let mut script = format!("mount -t tmpfs none {root} && cd {root}\n");
        let mut line = |text: String| writeln!(script, "{text}").unwrap();
        for folder in LIBRARIES.map(Path::new).iter().filter(|path| path.exists()) {
            line(bind(folder, folder.to_str().unwrap(), true));
        }
        line(bind(Path::new("/proc"), "/proc", false));
        line(bind(Path::new("/dev"), "/dev", false));
        if service.is_ours() {
            let entry_point = entry_point(service);
            let binary = binaries().join(entry_point.trim_start_matches('/'));
            line(bind(&binary, &entry_point, true));
        }
        let names = self.names.join(" ");
        line(format!(
            "mkdir -p etc && echo 127.0.0.1 {names} > etc/hosts"
        ));
        line("echo 'hosts: files' > etc/nsswitch.conf".to_owned());
        for mount in service.mounts() {
            let source = self.source(service, &mount);
            line(bind(&source, &mount.target, mount.is_read_only));
        }
        if service.field("read_only") == true {
            line("mount -o remount,ro,bind .".to_owned());
        }
        script
    }

    /// The source of a mount; a volume is a folder that belongs to the service's user.
    fn source(&self, service: &Service, mount: &Mount) -> PathBuf {
        mount.path().unwrap_or_else(|| {
            let folder = self
                .directory
                .path()
                .join(format!("volume-{}", mount.source));
            if !folder.exists() {
                fs::create_dir(&folder).unwrap();
                if is_root() {
                    let (user, group) = user(service);
                    std::os::unix::fs::chown(&folder, Some(user), Some(group)).unwrap();
                }
            }
            folder
        })
    }

    fn root(&self, service: &Service) -> PathBuf {
        self.directory.path().join(format!("root-{}", service.name))
    }

    /// A command in the service's root, with the service's environment and rights and nothing else.
    fn inside(&self, service: &Service, program: &str, arguments: &[String]) -> Command {
        let (user, group) = user(service);
        let mut command = self.enter();
        command.args(["env", "-i"]);
        let variables = service.environment();
        command.args(
            variables
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        command.arg("/usr/sbin/chroot").arg(self.root(service));
        command.args(["/usr/bin/setpriv", "--no-new-privs"]);
        if is_root() {
            command.args([format!("--reuid={user}"), format!("--regid={group}")]);
            command.arg("--clear-groups");
        }
        command.args(["--inh-caps=-all", "--bounding-set=-all"]);
        command.arg(program).args(arguments);
        command
    }

    /// A command in the namespaces, with this machine's files.
    fn enter(&self) -> Command {
        let mut enter = Command::new("nsenter");
        enter.args([
            "--target",
            &self.holder.id().to_string(),
            "--net",
            "--mount",
        ]);
        if !is_root() {
            enter.args(["--user", "--preserve-credentials"]);
        }
        enter
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The end of its input.
        drop(self.holder.stdin.take());
        let _reaped = self.holder.wait();
    }
}

impl Running {
    /// Stops it as the engine does, within the time that the file gives it.
    pub(super) fn stop(mut self) -> ExitStatus {
        self.check_alive();
        let limit = self.service.seconds("stop_grace_period");
        let asked = Instant::now();
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").arg(pid).status().unwrap();
        assert!(sent.success());
        let status = self.process.wait().unwrap();
        let took = asked.elapsed();
        assert!(took < limit, "{} took {took:?} to stop", self.service.name);
        status
    }

    fn check_alive(&mut self) {
        let ended = self.process.try_wait().unwrap();
        let said = || fs::read_to_string(&self.log).unwrap();
        assert!(ended.is_none(), "{} ended: {}", self.service.name, said());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Mounts `source` at `target` below the current directory.
fn bind(source: &Path, target: &str, is_read_only: bool) -> String {
    let (from, to) = (source.display(), format!(".{target}"));
    let make = match source.is_dir() {
        true => format!("mkdir -p {to}"),
        false => format!("mkdir -p $(dirname {to}) && touch {to}"),
    };
    let mut line = format!("{make} && mount --rbind {from} {to}");
    if is_read_only {
        let remount = format!("mount -o remount,ro,bind {to}");
        // Who is not root may not take the second half away from where it is.
        let _ = write!(
            line,
            " && {{ {remount} || {remount},nosuid,nodev,noexec; }}"
        );
    }
    line
}

/// The image's entry point: our images have their binary in the root.
fn entry_point(service: &Service) -> String {
    match service.is_ours() {
        true => format!("/{}", service.field("build")["target"].as_str().unwrap()),
        false => format!("/usr/bin/{}", service.name),
    }
}

/// The user and group; those of nobody where the image decides.
fn user(service: &Service) -> (u32, u32) {
    let text = service.field("user").as_str().unwrap_or("65534:65534");
    let (user, group) = text.split_once(':').unwrap();
    (user.parse().unwrap(), group.parse().unwrap())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}
