//! Commands to dom0: ssh over QEMU's user network.
//!
//! One connection is made and kept (`ssh -M`); each command is a session inside it, which costs no
//! new key exchange under emulation. Host and client keys were made with the image, so both sides
//! are known.
//!
//! Commands that run at the same time need a connection each ([`Channel::another`]). Dropbear
//! 2022.83 closes a session that was opened and has not got its command yet if another session's
//! command ends just then: ssh gives 255 without a word, the command never ran. Seen in 4 of 300
//! commands when two ran side by side, in none of 150 one after the other.

use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};

use crate::base::child::{self, Guarded, Output};
use crate::base::stop;
use crate::host::image::Image;

/// A connection to dom0.
pub struct Channel {
    key: PathBuf,
    known_hosts: PathBuf,
    port: u16,
    /// Holds the control socket: a path below 108 bytes, which the repository's need not be.
    dir: tempfile::TempDir,
    master: Mutex<Guarded>,
}

impl Channel {
    /// Connects, trying until `limit` has passed; `alive` may end it sooner.
    ///
    /// # Errors
    /// If there is no connection in time; the message holds what ssh said last.
    pub fn connect(
        image: &Image,
        port: u16,
        limit: Duration,
        alive: impl FnMut() -> Result<()>,
    ) -> Result<Self> {
        Self::open(&image.key, &image.known_hosts, port, limit, alive)
    }

    /// One more connection to the same dom0, for a thread that runs commands beside others. It
    /// lives no longer than the thread that made it (see [`Guarded`]).
    ///
    /// # Errors
    /// As [`Channel::connect`].
    pub fn another(&self) -> Result<Self> {
        let limit = Duration::from_secs(60);
        Self::open(&self.key, &self.known_hosts, self.port, limit, || {
            if self.lost() {
                bail!("the connection to dom0 is lost");
            }
            Ok(())
        })
    }

    fn open(
        key: &Path,
        known_hosts: &Path,
        port: u16,
        limit: Duration,
        mut alive: impl FnMut() -> Result<()>,
    ) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("xenlab-")
            .tempdir()
            .context("cannot make a folder for ssh's socket")?;
        let end = Instant::now() + limit;
        loop {
            let log = dir.path().join("log");
            // ssh appends; only the last try's words are of use.
            let _ = std::fs::remove_file(&log);
            let mut command = base(key, known_hosts, &dir.path().join("s"));
            command
                .args(["-M", "-N", "-p", &port.to_string(), "-E"])
                .arg(&log)
                .arg("root@dom0")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let mut master = Guarded::spawn(command)?;
            let socket = dir.path().join("s");
            // Either the socket appears, or ssh gives up: QEMU accepts for dom0 before dom0 can
            // answer.
            let connected = loop {
                alive()?;
                stop::check()?;
                if socket.exists() {
                    break true;
                }
                if master.ended()?.is_some() || Instant::now() >= end {
                    break false;
                }
                std::thread::sleep(stop::POLL);
            };
            if connected {
                return Ok(Self {
                    key: key.to_path_buf(),
                    known_hosts: known_hosts.to_path_buf(),
                    port,
                    dir,
                    master: Mutex::new(master),
                });
            }
            if Instant::now() >= end {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!(
                    "dom0 did not answer within {} s; ssh: {}",
                    limit.as_secs(),
                    said.trim()
                );
            }
            drop(master);
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Runs a shell command in dom0.
    ///
    /// # Errors
    /// If it runs longer than `limit`, the connection breaks (exit status 255), or we are
    /// interrupted. A command that fails is not an error here: see [`Output::success`].
    pub fn run(&self, script: &str, limit: Duration) -> Result<Output> {
        self.run_with(script, b"", limit)
    }

    /// The same, with bytes for its standard input.
    ///
    /// # Errors
    /// As [`Channel::run`].
    pub fn run_with(&self, script: &str, input: &[u8], limit: Duration) -> Result<Output> {
        let output = child::run(self.command(script), input, limit)
            .with_context(|| format!("in dom0: {script}"))?;
        if output.status == 255 && output.stderr.contains("ssh") | self.lost() {
            bail!(
                "the connection to dom0 is lost, at: {script}{}",
                output.said()
            );
        }
        Ok(output)
    }

    /// Runs a command that must succeed.
    ///
    /// # Errors
    /// As [`Channel::run`], and if its exit status is not 0.
    pub fn must(&self, script: &str, limit: Duration) -> Result<String> {
        self.run(script, limit)?
            .success(&format!("in dom0: {script}"))
    }

    /// Copies bytes into a file in dom0.
    ///
    /// # Errors
    /// If dom0 has no room for it, among others.
    pub fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let script = format!("cat > {}", quoted(path));
        self.run_with(&script, bytes, Duration::from_secs(120))?
            .success(&format!("copying {path} to dom0"))?;
        Ok(())
    }

    /// Starts a command whose output is read as it comes. Its standard input ends when what is
    /// given back is dropped.
    ///
    /// # Errors
    /// If ssh cannot be started.
    pub fn stream(&self, script: &str) -> Result<Guarded> {
        let mut command = self.command(script);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Guarded::spawn(command)
    }

    /// Runs a command whose output `take` reads as it comes, and which must succeed. What the
    /// command itself failed of is told before what `take` made of its output.
    ///
    /// # Errors
    /// If ssh cannot be started, the command fails or does not end within `limit` of its output's
    /// end, or `take` fails.
    pub fn read<T>(
        &self,
        script: &str,
        limit: Duration,
        take: impl FnOnce(&mut ChildStdout) -> Result<T>,
    ) -> Result<T> {
        let mut command = self.command(script);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = Guarded::spawn(command)?;
        let child = running.child();
        let (Some(mut out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
            bail!("in dom0: {script}: its pipes are missing");
        };
        let err = std::thread::spawn(move || child::drain(err));
        let taken = take(&mut out);
        // A command whose output nobody reads would die of that, and the wrong one would be blamed.
        let _ = std::io::copy(&mut out, &mut std::io::sink());
        let status = stop::wait_for(script, limit, || running.ended())
            .with_context(|| format!("in dom0: {script}"))?;
        let said = err.join().unwrap_or_default();
        if !status.success() {
            bail!(
                "in dom0: {script}: exit status {}: {}",
                child::code(status),
                String::from_utf8_lossy(&said).trim()
            );
        }
        taken
    }

    /// An ssh command for a person at a terminal.
    pub fn interactive(&self) -> Command {
        let mut command = base(&self.key, &self.known_hosts, &self.dir.path().join("s"));
        command.args(["-t", "-p", &self.port.to_string(), "root@dom0"]);
        command
    }

    /// That command as a line to type, for as long as the machine runs.
    pub fn line(&self) -> String {
        let command = base(&self.key, &self.known_hosts, Path::new("none"));
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<String> = words
            .map(|word| shell_word(&word.to_string_lossy()))
            .collect();
        format!("{} -p {} root@dom0", words.join(" "), self.port)
    }

    /// Whether the connection is gone.
    pub fn lost(&self) -> bool {
        self.master
            .lock()
            .map_or(true, |mut master| !matches!(master.ended(), Ok(None)))
    }

    fn command(&self, script: &str) -> Command {
        let mut command = base(&self.key, &self.known_hosts, &self.dir.path().join("s"));
        command.args(["-T", "-p", &self.port.to_string(), "root@dom0", script]);
        command
    }
}

/// A word as dom0's shell takes it for one.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The same; a word that no shell would change is left as it is.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./@:,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        quoted(word)
    }
}

fn base(key: &Path, known_hosts: &Path, control: &Path) -> Command {
    let mut command = Command::new("ssh");
    // -F none: nothing of the user's own ssh set-up plays a part.
    command.args([
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        "HostName=127.0.0.1",
    ]);
    command.args(["-o", "HostKeyAlias=dom0", "-o", "StrictHostKeyChecking=yes"]);
    command.args(["-o", "ConnectTimeout=60", "-o", "ServerAliveInterval=20"]);
    command.args(["-o", "ServerAliveCountMax=6", "-o", "IdentitiesOnly=yes"]);
    command.args([
        "-o",
        "LogLevel=ERROR",
        "-o",
        "Ciphers=chacha20-poly1305@openssh.com",
    ]);
    command
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", known_hosts.display()));
    command
        .arg("-o")
        .arg(format!("ControlPath={}", control.display()));
    command.arg("-i").arg(key);
    command
}

#[cfg(test)]
mod tests {
    use super::{quoted, shell_word};

    #[test]
    fn a_quoted_word_stays_one_word() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(shell_word("/lab/a.save"), "/lab/a.save");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("$a"), "'$a'");
    }
}
