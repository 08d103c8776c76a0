//! What a client in dom0 sees of the guest's service.

use anyhow::{bail, Context, Result};

use crate::base::stop;
use crate::host::labprobe;
use crate::life::state::{Life, XL};
use crate::life::timeline::Step;

/// The guest's address; dom0 has 10.77.0.1 on the bridge (`dom0-devices.sh`).
pub const ADDRESS: &str = "10.77.0.2";
/// The words of the guest's command line that have it serve there.
pub const SERVICE: &str = "service=10.77.0.2/24";
/// The lines of its configuration that give it a network and a disk.
pub const DEVICES: &str =
    "vif = [\"mac=00:16:3e:77:00:02,bridge=guests\"]\ndisk = [\"phy:/dev/loop0,xvda,w\"]\n";

impl Life<'_> {
    /// Prepares dom0 for a guest with devices. What the last one's client left is gone.
    pub(super) fn devices(&mut self) -> Result<()> {
        labprobe::put(&self.machine.dom0)?;
        let (pid, said) = (self.file("echo.pid"), self.file("echo"));
        self.sh(&format!(
            "[ -e {pid} ] && kill $(cat {pid}); rm -f {pid} {said}; lab-devices"
        ))
    }

    /// Asks everything of the service that it does.
    pub(super) fn serves(&mut self, step: &mut Step) -> Result<()> {
        self.answers_ping()?;
        let gap = self.echoes()?;
        self.keeps_records()?;
        let page = self.fetch("")?;
        let line = |name: &str| page.lines().find_map(|line| line.strip_prefix(name));
        for (name, wanted) in [
            ("suspends: ", self.round.to_string()),
            ("records: ", self.served.records.len().to_string()),
        ] {
            let said = line(name);
            if said != Some(&wanted) {
                step.findings
                    .push(format!("the page says {name}{said:?}, not {wanted}"));
            }
        }
        step.checked = format!(
            "ping; one TCP connection, {} lines, the slowest {gap} ms; {} records; longest gap by the guest {}",
            self.served.lines.unwrap_or(0),
            self.served.records.len(),
            line("longest gap: ").unwrap_or("?")
        );
        Ok(())
    }

    fn answers_ping(&self) -> Result<()> {
        let ping = format!("ping -c 1 -W 2 {ADDRESS}");
        stop::wait_for("an answer to ping", self.limit, || {
            Ok(self.machine.dom0.run(&ping, XL)?.ok().then_some(()))
        })
    }

    /// More lines come back on the one TCP connection, which is opened first. Gives the longest time
    /// that one took, milliseconds.
    fn echoes(&mut self) -> Result<u64> {
        let (pid, said) = (self.file("echo.pid"), self.file("echo"));
        if self.served.lines.is_none() {
            let probe = labprobe::PLACE;
            self.sh(&format!(
                "setsid {probe} echo {ADDRESS}:7 {said} >{said}.end 2>&1 </dev/null & echo $! > {pid}"
            ))?;
        }
        let before = self.served.lines.unwrap_or(0);
        let look = format!("kill -0 $(cat {pid}) || cat {said}.end; cat {said}");
        let (lines, gap) = stop::wait_for("lines on the TCP connection", self.limit, || {
            let out = self.machine.dom0.run(&look, XL)?.stdout;
            if out.contains("labprobe:") {
                bail!("the TCP connection broke: {}", out.trim());
            }
            let mut numbers = out.split_whitespace().map(str::parse::<u64>);
            Ok(match (numbers.next(), numbers.next()) {
                (Some(Ok(lines)), Some(Ok(gap))) if lines > before + 2 => Some((lines, gap)),
                _ => None,
            })
        })?;
        self.served.lines = Some(lines);
        Ok(gap)
    }

    /// Records are kept, and all that ever were are there.
    fn keeps_records(&mut self) -> Result<()> {
        for _ in 0..2 {
            let text = format!(
                "record {} of round {}",
                self.served.records.len(),
                self.round
            );
            let kept = self.fetch_with(&format!("--post-data='{text}'"), "records")?;
            let number = self.served.records.len().to_string();
            if kept.trim() != number {
                bail!("record {number} was kept as {:?}", kept.trim());
            }
            self.served.records.push(text);
        }
        let there = self.fetch("records")?;
        let wanted = self.served.records.iter().enumerate();
        let wanted: String = wanted
            .map(|(number, text)| format!("{number} {text}\n"))
            .collect();
        if there != wanted {
            bail!("the records are {there:?}, not {wanted:?}");
        }
        Ok(())
    }

    fn fetch(&self, page: &str) -> Result<String> {
        self.fetch_with("", page)
    }

    fn fetch_with(&self, options: &str, page: &str) -> Result<String> {
        let seconds = self.limit.as_secs();
        let get = format!("timeout {seconds} wget -q -O - {options} http://{ADDRESS}/{page}");
        let out = self.machine.dom0.run(&get, XL)?;
        out.success("in dom0: wget")
            .with_context(|| format!("the guest's service: /{page}"))
    }
}
