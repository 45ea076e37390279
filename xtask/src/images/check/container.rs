//! One image as a container runtime runs it, as far as its binary can tell.

use super::name_server::RESOLV_CONF;
use crate::command_line::CommandLine;
use crate::images::dockerfile::{self, Declared};
use crate::images::image::Image;
use crate::images::layout::Layout;
use crate::wait::wait_for;
use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const HEALTHY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// A root of its own, mounted read-only but for the image's volumes.
pub(super) struct Container {
    declared: Declared,
    root: PathBuf,
    /// Where the root is mounted.
    place: TempDir,
}

/// The image's binary, as process 1 of its own.
pub(super) struct Started<'a> {
    container: &'a Container,
    /// `unshare`, which waits for the binary and ends as it does.
    parent: Child,
    output: PathBuf,
}

impl Container {
    /// # Errors
    /// The image is not laid out, or something cannot be mounted.
    pub(super) fn new(layout: &Layout, image: Image, dockerfile: &str) -> anyhow::Result<Self> {
        let place = tempfile::tempdir()?;
        let container = Self {
            declared: dockerfile::stage(dockerfile, image.name())?,
            root: place.path().join("root"),
            place,
        };
        container.fill(layout, image)?;
        container.make_read_only()?;
        Ok(container)
    }

    fn fill(&self, layout: &Layout, image: Image) -> anyhow::Result<()> {
        fs::create_dir(&self.root)?;
        let mount = CommandLine::parse("mount -t tmpfs -o mode=0755,size=1G tmpfs");
        quietly(&mount.arg(&self.root))?;
        copy(&layout.root(image), &self.root)?;
        if layout.data(image).exists() {
            copy(&layout.data(image), &self.root)?;
            self.give_to_user(&layout.data(image))?;
        }
        // What every runtime adds.
        fs::create_dir(self.root.join("proc"))?;
        fs::write(self.root.join("etc/resolv.conf"), RESOLV_CONF)?;
        Ok(fs::write(
            self.root.join("etc/hosts"),
            "127.0.0.1 localhost\n",
        )?)
    }

    fn give_to_user(&self, copied: &Path) -> anyhow::Result<()> {
        let user = format!("{}:{}", self.declared.user, self.declared.group);
        for entry in fs::read_dir(copied)? {
            let chown = CommandLine::parse("chown --recursive").arg(&user);
            quietly(&chown.arg(self.root.join(entry?.file_name())))?;
        }
        Ok(())
    }

    fn make_read_only(&self) -> anyhow::Result<()> {
        for volume in &self.declared.volumes {
            let volume = self.root.join(volume.trim_start_matches('/'));
            quietly(&CommandLine::parse("mount --bind").arg(&volume).arg(&volume))?;
        }
        quietly(&CommandLine::parse("mount -o remount,bind,ro").arg(&self.root))
    }

    /// Runs the binary with these arguments behind its image's own.
    pub(super) fn start(&self, arguments: &[&str]) -> anyhow::Result<Started<'_>> {
        let output = self.place.path().join("output.txt");
        let file = File::create(&output)?;
        let command = self.command(&self.declared.entrypoint, arguments);
        println!("$ {command}");
        let mut command = command.command();
        let command = command.stdin(Stdio::null()).stdout(file.try_clone()?);
        let parent = command.stderr(file).spawn()?;
        Ok(Started {
            container: self,
            parent,
            output,
        })
    }

    /// What the binary prints when it is run with these arguments to its end.
    pub(super) fn output(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let command = self.command(&self.declared.entrypoint, arguments);
        println!("$ {command}");
        command.output().context("it failed")
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.command(&self.declared.health_check, &[]).succeeds()
    }

    /// Only what the image declares reaches the binary: no variable of this process, no right, and of
    /// the file system only the root.
    fn command(&self, words: &[String], arguments: &[&str]) -> CommandLine {
        let (user, group) = (
            self.declared.user.to_string(),
            self.declared.group.to_string(),
        );
        CommandLine::parse("env --ignore-environment")
            .args(&self.declared.variables)
            .args(["setpriv", "--no-new-privs", "--inh-caps=-all"])
            .args([
                "unshare",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount",
                "--mount-proc",
            ])
            .args(["--setuid", &user, "--setgid", &group, "--wd", "/", "--root"])
            .arg(&self.root)
            .args(words)
            .args(arguments)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // What is mounted cannot be removed; if this fails, an empty directory stays in /tmp.
        let unmount = CommandLine::parse("umount --recursive --lazy");
        let _ = quietly(&unmount.arg(&self.root));
    }
}

impl Started<'_> {
    /// Waits until the image's health check says so.
    ///
    /// # Errors
    /// It ended, or took longer than a minute.
    pub(super) fn wait_healthy(&mut self) -> anyhow::Result<()> {
        let healthy = wait_for(HEALTHY_LIMIT, || match self.parent.try_wait() {
            Ok(None) => self.container.is_healthy().then_some(Ok(())),
            Ok(Some(status)) => Some(Err(anyhow::anyhow!("it ended with {status}"))),
            Err(error) => Some(Err(error.into())),
        });
        let healthy = healthy
            .context("it was not healthy within a minute")
            .flatten();
        healthy.with_context(|| self.said())
    }

    /// # Errors
    /// It is not who the image says, or has rights beyond that.
    pub(super) fn check_without_rights(&self) -> anyhow::Result<()> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let Declared { user, group, .. } = self.container.declared;
        for expected in [
            format!("Uid:\t{user}\t{user}\t{user}\t{user}\n"),
            format!("Gid:\t{group}\t{group}\t{group}\t{group}\n"),
            "Groups:\t \n".to_owned(),
            "CapPrm:\t0000000000000000\n".to_owned(),
            "CapEff:\t0000000000000000\n".to_owned(),
            "NoNewPrivs:\t1\n".to_owned(),
        ] {
            ensure!(status.contains(&expected), "no {expected:?} in\n{status}");
        }
        Ok(())
    }

    /// Sends SIGTERM, as runtimes do, and waits for the end.
    ///
    /// # Errors
    /// It did not end in time, or with another status than 0.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        kill_process(self.pid()?, Signal::TERM)?;
        let ended = wait_for(STOP_LIMIT, || self.parent.try_wait().transpose());
        match ended.transpose()?.as_ref().map(ExitStatus::success) {
            Some(true) => Ok(()),
            Some(false) => bail!("it did not end with 0; {}", self.said()),
            None => bail!("it did not stop within {STOP_LIMIT:?}; {}", self.said()),
        }
    }

    /// Of the binary: the only child of `unshare`.
    fn pid(&self) -> anyhow::Result<Pid> {
        let parent = self.parent.id();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
        let child = children.trim().parse().ok().and_then(Pid::from_raw);
        child.with_context(|| format!("it is not running; {}", self.said()))
    }

    fn said(&self) -> String {
        let output = fs::read_to_string(&self.output).unwrap_or_default();
        format!("it said:\n{output}")
    }
}

impl Drop for Started<'_> {
    fn drop(&mut self) {
        // Fails only on one that has been waited for; its child goes with it.
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}

/// What is in one directory into another, as root's.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copy = CommandLine::parse("cp --recursive --preserve=mode,timestamps");
    quietly(&copy.arg(from.join(".")).arg(to))
}

fn quietly(command: &CommandLine) -> anyhow::Result<()> {
    ensure!(command.succeeds(), "this failed: {command}");
    Ok(())
}
