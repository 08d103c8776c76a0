//! `xl`, Xen's command line in dom0: its commands as argument vectors, and what it lists.

use std::fmt;
use std::time::Duration;

use anyhow::{bail, Context, Result};

use crate::base::child::Output;
use crate::host::channel::{shell_word, Channel};

/// What waits for a domain that arrives, as `xl migrate -s` is told to start it.
pub const RECEIVE: &str = "xl migrate-receive";

/// One command of `xl`. Displayed, it is a line for dom0's shell: alone, or as a part of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xl(Vec<String>);

impl Xl {
    fn new(words: &[&str]) -> Self {
        Self(words.iter().map(|&word| word.to_owned()).collect())
    }

    /// Makes a domain.
    pub fn create(config: &str) -> Self {
        Self::new(&["create", config])
    }

    /// Makes a domain that does not run yet.
    pub fn create_paused(config: &str) -> Self {
        Self::new(&["create", "-p", config])
    }

    /// The domain is gone afterwards.
    pub fn save(domain: &str, image: &str) -> Self {
        Self::new(&["save", domain, image])
    }

    /// `-c`: the domain goes on.
    pub fn checkpoint(domain: &str, image: &str) -> Self {
        Self::new(&["save", "-c", domain, image])
    }

    /// `-p`: the domain is paused afterwards.
    pub fn save_and_pause(domain: &str, image: &str) -> Self {
        Self::new(&["save", "-p", domain, image])
    }

    /// Makes a domain of an image, with the configuration in the image.
    pub fn restore(image: &str) -> Self {
        Self::new(&["restore", image])
    }

    /// The same with another configuration.
    pub fn restore_as(config: &str, image: &str) -> Self {
        Self::new(&["restore", config, image])
    }

    /// The same, and the domain does not run yet.
    pub fn restore_paused(image: &str) -> Self {
        Self::new(&["restore", "-p", image])
    }

    /// Gives the domain's stream to a shell command, such as [`RECEIVE`].
    pub fn migrate_into(domain: &str, receiver: &str) -> Self {
        Self::new(&["migrate", "-s", "", domain, receiver])
    }

    /// Live migration to a host, by ssh.
    pub fn migrate_to(domain: &str, host: &str) -> Self {
        Self::new(&["migrate", domain, host])
    }

    /// The same by another command than ssh, and with this configuration.
    pub fn migrate_by(way: &str, config: &str, domain: &str, host: &str) -> Self {
        Self::new(&["migrate", "-s", way, "-C", config, domain, host])
    }

    /// Checkpoints without end, given to a shell command. Unsafe (`-F`), for there is no disk to
    /// replicate (`-d`) and no network whose output would be held back (`-n`).
    pub fn remus(domain: &str, receiver: &str) -> Self {
        Self::new(&["remus", "-Fnd", "-s", "", domain, receiver])
    }

    /// So many vCPUs online, also if the host has fewer.
    pub fn vcpu_set(domain: &str, vcpus: u64) -> Self {
        Self::new(&["vcpu-set", "--ignore-host", domain, &vcpus.to_string()])
    }

    /// A new target of the domain's memory, MiB.
    pub fn mem_set(domain: &str, mib: u64) -> Self {
        Self::new(&["mem-set", domain, &format!("{mib}m")])
    }

    /// `power`, `sleep`, `nmi` for vCPU 0 and others.
    pub fn trigger(domain: &str, what: &str) -> Self {
        Self::new(&["trigger", domain, what])
    }

    /// A non-maskable interrupt for one vCPU.
    pub fn nmi(domain: &str, vcpu: u64) -> Self {
        Self::new(&["trigger", domain, "nmi", &vcpu.to_string()])
    }

    pub fn pause(domain: &str) -> Self {
        Self::new(&["pause", domain])
    }

    pub fn unpause(domain: &str) -> Self {
        Self::new(&["unpause", domain])
    }

    /// Asks the guest to shut down.
    pub fn shutdown(domain: &str) -> Self {
        Self::new(&["shutdown", domain])
    }

    /// Asks the guest to reboot.
    pub fn reboot(domain: &str) -> Self {
        Self::new(&["reboot", domain])
    }

    /// Ends the domain without asking it.
    pub fn destroy(domain: &str) -> Self {
        Self::new(&["destroy", domain])
    }

    fn domid(domain: &str) -> Self {
        Self::new(&["domid", domain])
    }

    fn list(domain: &str) -> Self {
        Self::new(&["list", domain])
    }

    /// Runs it in this dom0; it need not succeed.
    ///
    /// # Errors
    /// As [`Channel::run`].
    pub fn run(&self, dom0: &Channel, limit: Duration) -> Result<Output> {
        dom0.run(&self.to_string(), limit)
    }

    /// Runs it in this dom0.
    ///
    /// # Errors
    /// As [`Channel::must`]: the command, its exit status and the end of what it said.
    pub fn must(&self, dom0: &Channel, limit: Duration) -> Result<String> {
        dom0.must(&self.to_string(), limit)
    }
}

impl fmt::Display for Xl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("xl")?;
        for word in &self.0 {
            write!(f, " {}", shell_word(word))?;
        }
        Ok(())
    }
}

/// A domain as `xl list` has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its memory, MiB.
    pub mib: u64,
    /// Letters for running, blocked, paused, shut down, crashed, dying; `-` for what it is not.
    state: String,
    /// Processor time, seconds.
    pub secs: f64,
}

impl Listed {
    pub fn is_paused(&self) -> bool {
        self.state.contains('p')
    }

    /// Also of a domain that has suspended itself.
    pub fn is_shut_down(&self) -> bool {
        self.state.contains('s')
    }

    pub fn has_crashed(&self) -> bool {
        self.state.contains('c')
    }

    /// Reads the line below the head: name, number, memory, vCPUs, state, time.
    fn parse(text: &str) -> Option<Result<Self>> {
        let line = text.lines().nth(1)?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let listed = || {
            let [.., mib, _vcpus, state, secs] = words[..] else {
                return None;
            };
            Some(Self {
                mib: mib.parse().ok()?,
                state: state.to_owned(),
                secs: secs.parse().ok()?,
            })
        };
        Some(listed().with_context(|| format!("xl list says {line:?}")))
    }
}

/// The domain of this name, if there is one.
///
/// # Errors
/// If dom0 does not answer, or `xl list` says what this code does not understand.
pub fn listed(dom0: &Channel, domain: &str, limit: Duration) -> Result<Option<Listed>> {
    let out = Xl::list(domain).run(dom0, limit)?;
    if !out.ok() {
        return Ok(None);
    }
    Listed::parse(&out.stdout).transpose()
}

/// The number of the domain of this name, if there is one.
///
/// # Errors
/// If dom0 does not answer, or `xl domid` gives no number.
pub fn domid(dom0: &Channel, domain: &str, limit: Duration) -> Result<Option<u32>> {
    let command = Xl::domid(domain);
    let out = command.run(dom0, limit)?;
    if !out.ok() {
        return Ok(None);
    }
    match out.stdout.trim().parse() {
        Ok(id) => Ok(Some(id)),
        Err(_) => bail!("{command} says {:?}", out.stdout),
    }
}

/// Ends these domains, those of them that there are.
///
/// # Errors
/// If dom0 does not answer.
pub fn destroy_if_there(dom0: &Channel, domains: &[&str], limit: Duration) -> Result<()> {
    dom0.run(&destroy_script(domains), limit).map(drop)
}

/// That as a part of a script; its exit status says nothing.
pub fn destroy_script(domains: &[&str]) -> String {
    let each = domains
        .iter()
        .map(|domain| format!("{} 2>/dev/null", Xl::destroy(domain)));
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_stays_one_word_of_the_shell() {
        assert_eq!(
            Xl::migrate_into("g", "sh -c 'exec cat' | x").to_string(),
            r"xl migrate -s '' g 'sh -c '\''exec cat'\'' | x'"
        );
        assert_eq!(
            Xl::save("a b", "/lab/a;b").to_string(),
            "xl save 'a b' '/lab/a;b'"
        );
        assert_eq!(Xl::mem_set("g", 24).to_string(), "xl mem-set g 24m");
    }

    #[test]
    fn a_listed_domain_is_read() {
        let text = "Name                                        ID   Mem VCPUs\tState\tTime(s)\n\
                    guest                                        7    32     4     --p---       1.5\n";
        let listed = Listed::parse(text).unwrap().unwrap();
        assert!(listed.is_paused() && !listed.has_crashed() && !listed.is_shut_down());
        assert_eq!((listed.mib, listed.secs), (32, 1.5));
        assert!(Listed::parse("Name ID\n").is_none());
        assert!(Listed::parse("Name ID\nx\n").unwrap().is_err());
    }
}
