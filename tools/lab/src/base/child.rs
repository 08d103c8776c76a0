//! Child processes that cannot outlive us, and commands with a time limit.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use nix::sys::signal::{killpg, Signal};
use nix::unistd::Pid;

use crate::base::stop;

/// A running child in a process group of its own. Dropping it kills the group; if we die first
/// (even of SIGKILL), the kernel kills the child.
///
/// The kernel's part is tied to the *thread* that called [`Guarded::spawn`]: that thread must live
/// as long as the child is wanted.
#[derive(Debug)]
pub struct Guarded {
    child: Child,
    name: String,
}

impl Guarded {
    /// Starts `command`.
    ///
    /// # Errors
    /// If the program cannot be started; the message names it.
    pub fn spawn(mut command: Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.process_group(0);
        // SAFETY: the closure runs in the child between fork and exec and calls only prctl(2),
        // which is async-signal-safe; it touches no memory of ours.
        unsafe {
            command.pre_exec(|| {
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from)
            });
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name })
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The exit status, if the child has ended.
    ///
    /// # Errors
    /// If the operating system does not know the child, which would be an error of ours.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("cannot ask for the state of {}", self.name))
    }

    /// Kills the process group and waits for the child.
    pub fn kill(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            // The group may be gone already; then there is nothing to kill.
            let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a finished command left behind.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit status; 128 + N for one that died of signal N.
    pub status: i32,
    /// Standard output, with bytes that are not UTF-8 replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Output {
    /// Whether the status is 0.
    pub fn ok(&self) -> bool {
        self.status == 0
    }

    /// Standard output, if the status is 0.
    ///
    /// # Errors
    /// Otherwise; the message holds `what`, the status and the end of what the command said.
    pub fn success(self, what: &str) -> Result<String> {
        if self.ok() {
            return Ok(self.stdout);
        }
        bail!("{what}: exit status {}{}", self.status, self.said())
    }

    /// The last lines of what the command said, for an error message.
    pub fn said(&self) -> String {
        last_lines(&format!("{}{}", self.stdout, self.stderr))
    }
}

/// Runs a command to its end, giving it `input`.
///
/// # Errors
/// If it cannot be started, runs longer than `limit` (it is killed then), or we are interrupted.
pub fn run(mut command: Command, input: &[u8], limit: Duration) -> Result<Output> {
    let name = shown(&command);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let start = Instant::now();
    let mut running = Guarded::spawn(command)?;
    let child = running.child();
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        bail!("{name}: its pipes are missing");
    };
    let (out, err) = (
        thread::spawn(|| drain(stdout)),
        thread::spawn(|| drain(stderr)),
    );
    let input = input.to_vec();
    thread::spawn(move || {
        // A command need not read all of its input.
        let _ = stdin.write_all(&input);
    });
    let status = match stop::wait_for(&name, limit, || running.ended()) {
        Ok(status) => status,
        Err(error) => {
            running.kill();
            // The threads are left to themselves: a pipe may be held open by somebody else, as
            // ssh's master holds those of a session that it serves.
            return Err(error);
        }
    };
    let text = |thread: thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&thread.join().unwrap_or_default()).into_owned()
    };
    let (stdout, stderr) = (text(out), text(err));
    Ok(Output {
        status: code(status),
        stdout,
        stderr,
        took: start.elapsed(),
    })
}

/// Runs a command to its end, with all that it says in `log`, which is there to read while it runs
/// and whatever ends it.
///
/// # Errors
/// As [`run`]; and if the file cannot be made.
pub fn run_into(mut command: Command, log: &Path, limit: Duration) -> Result<ExitStatus> {
    let name = shown(&command);
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let same = file
        .try_clone()
        .with_context(|| format!("cannot write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file).stderr(same);
    let mut running = Guarded::spawn(command)?;
    stop::wait_for(&name, limit, || running.ended())
}

/// The last lines of `text` that say something, each on a line of its own, for an error message.
pub fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(12);
    lines[from..]
        .iter()
        .map(|line| format!("\n    {line}"))
        .collect()
}

/// The status as shells number it.
pub fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// All that comes out of a pipe.
pub fn drain(mut pipe: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A pipe that breaks in the middle ends what can be read; the status tells the rest.
    let _ = pipe.read_to_end(&mut bytes);
    bytes
}

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args().take(2))
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_status_come_back() {
        let out = run(
            sh("cat; echo no >&2; exit 3"),
            b"yes\n",
            Duration::from_secs(20),
        )
        .unwrap();
        assert_eq!(
            (out.status, out.stdout.as_str(), out.stderr.as_str()),
            (3, "yes\n", "no\n")
        );
        let error = out.success("the test").unwrap_err().to_string();
        assert!(
            error.contains("the test") && error.contains('3') && error.contains("no"),
            "{error}"
        );
    }

    #[test]
    fn a_command_that_hangs_is_killed_with_its_children() {
        let start = Instant::now();
        // The inner sleep holds the pipe open: only killing the whole group ends this in time.
        let result = run(sh("sleep 100 & sleep 100"), b"", Duration::from_millis(300));
        assert!(result.unwrap_err().to_string().contains("nothing within"));
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn what_a_command_said_before_it_hung_is_in_the_log() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let script = sh("echo so far; echo and this >&2; sleep 100");
        let error = run_into(script, log.path(), Duration::from_millis(500)).unwrap_err();
        assert!(error.to_string().contains("nothing within"), "{error}");
        let said = std::fs::read_to_string(log.path()).unwrap();
        assert_eq!(last_lines(&said), "\n    so far\n    and this");
    }
}
