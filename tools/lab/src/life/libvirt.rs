//! A guest in the hands of libvirt, whose driver for Xen goes to libxl without `xl`.
//!
//! A command of `virsh` that asks for a suspend, a vCPU or an end is followed by the same events as
//! one of `xl`, and the same checks.

use anyhow::{bail, Result};

use crate::guest::config::Config;
use crate::host::channel::Channel;
use crate::host::machine::Machine;
use crate::host::network::Host;
use crate::life::across::MIGRATION;
use crate::life::state::{Life, XL};
use crate::life::timeline::Step;
use crate::life::virsh::Virsh;

/// The daemon's configuration. It may be asked by whoever may enter dom0, and by the other host's
/// dom0.
fn daemon(host: Host) -> String {
    let last = match host {
        Host::A => 'a',
        Host::B => 'b',
    };
    format!(
        "auth_unix_rw = \"none\"\nlisten_tls = 0\nlisten_tcp = 1\nauth_tcp = \"none\"\nlog_level = 3\n\
         log_outputs = \"3:file:/var/log/libvirtd.log\"\nhost_uuid = \"1d1b2f44-6a9c-4c0e-9a51-0c6f4d2b7e9{last}\"\n"
    )
}

/// The domain as libvirt has it, with a UUID that goes with its name.
fn xml(config: &Config) -> String {
    let cmdline = config.cmdline.replace('&', "&amp;").replace('<', "&lt;");
    let uuid: String = config
        .name
        .bytes()
        .cycle()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!(
        "<domain type='xen'>\n<name>{}</name>\n<uuid>9c0ffee0-0000-4000-8000-{uuid}</uuid>\n\
         <memory unit='MiB'>{mem}</memory>\n<currentMemory unit='MiB'>{mem}</currentMemory>\n\
         <vcpu current='{}'>{}</vcpu>\n\
         <os><type arch='x86_64' machine='xenpvh'>xenpvh</type><kernel>{}</kernel><cmdline>{cmdline}</cmdline></os>\n\
         <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>preserve</on_crash>\n\
         <devices><console type='pty'><target type='xen' port='0'/></console></devices>\n</domain>\n",
        config.name,
        config.vcpus,
        config.max_vcpus,
        config.kernel,
        mem = config.mem,
    )
}

impl Life<'_> {
    /// Does one of them and checks it.
    pub(super) fn by_libvirt(&mut self, command: Virsh, step: &mut Step) -> Result<()> {
        let name = self.config.name.clone();
        match command {
            Virsh::Start => {
                self.begin_libvirt(self.machine, Host::A)?;
                if let Some(peer) = self.first.peer.as_deref() {
                    self.begin_libvirt(peer, Host::B)?;
                }
                let file = format!("/lab/{name}.xml");
                self.machine.dom0.put(&file, xml(&self.config).as_bytes())?;
                self.virsh(&format!("define {file}"))?;
                self.virsh(&format!("start {name}"))?;
                let event = self.wait("ready", |e| e.ev == "ready")?;
                step.findings.extend(self.ready());
                self.check_wall_clock(&event, step)?;
                self.churn_on(step, 1)?;
            }
            Virsh::SetVcpus(n) => {
                let (old, new) = (self.online.clone(), (0..n).collect::<Vec<_>>());
                self.virsh(&format!("setvcpus {name} {n} --live"))?;
                self.hotplugged(&old, &new, step)?;
                self.churn_on(step, 1)?;
            }
            Virsh::SetMem(mib) => {
                self.virsh(&format!("setmem {name} {mib}MiB --live"))?;
                self.has_memory(mib, step)?;
            }
            Virsh::Save => {
                self.virsh(&format!("save {name} /lab/{name}.save"))?;
                self.gone_into_image(step)?;
            }
            Virsh::ManagedSave => {
                self.virsh(&format!("managedsave {name}"))?;
                self.gone_into_image(step)?;
            }
            Virsh::Restore => {
                self.virsh(&format!("restore /lab/{name}.save"))?;
                self.sh(&format!("rm /lab/{name}.save"))?;
                self.came_back(step, "restored")?;
            }
            Virsh::StartSaved => {
                self.virsh(&format!("start {name}"))?;
                self.came_back(step, "restored")?;
            }
            Virsh::Sleeps(times) => {
                for _ in 0..times {
                    self.virsh(&format!("dompmsuspend {name} mem"))?;
                    self.round += 1;
                    self.suspended(step)?;
                    self.virsh(&format!("dompmwakeup {name}"))?;
                    step.checked.clear();
                    self.came_back(step, "cancelled")?;
                }
                step.checked.insert_str(0, &format!("{times} suspends; "));
            }
            Virsh::Pause => {
                self.virsh(&format!("suspend {name}"))?;
                self.virsh(&format!("resume {name}"))?;
                self.churn_on(step, 2)?;
            }
            Virsh::Migrate => {
                let (from, to) = (self.host(), self.elsewhere()?);
                self.virsh(&format!(
                    "migrate --live {name} xen+tcp://{}/system",
                    from.other().name()
                ))?;
                self.round += 1;
                self.suspended(step)?;
                if self.exists()? {
                    bail!("the domain is still on host {}", from.name());
                }
                self.machine = to;
                self.came_back(step, "restored")?;
            }
            Virsh::Reboot => {
                self.virsh(&format!("reboot {name}"))?;
                self.rebooted(step)?;
            }
            Virsh::Shutdown => {
                self.virsh(&format!("shutdown {name}"))?;
                self.ended(step, "poweroff")?;
            }
        }
        // libvirt itself waits for the domain's end, whatever became of a suspend.
        self.unwatched = false;
        Ok(())
    }

    /// The last suspend has an image, and the domain is gone.
    fn gone_into_image(&mut self, step: &mut Step) -> Result<()> {
        self.round += 1;
        if self.exists()? {
            bail!("the domain is still there");
        }
        self.suspended(step)
    }

    /// Starts libvirt's daemon in a dom0, and has it forget an earlier guest of this name.
    fn begin_libvirt(&self, machine: &Machine, host: Host) -> Result<()> {
        let dom0 = &machine.dom0;
        begin_daemon(dom0, host)?;
        dom0.run(&forget(&self.config.name), XL)?;
        Ok(())
    }

    fn virsh(&self, words: &str) -> Result<()> {
        let script = format!("{VIRSH} {words}");
        let out = self.machine.dom0.run(&script, MIGRATION)?;
        if out.ok() {
            return Ok(());
        }
        let log = "tail -n 5 /var/log/libvirtd.log /var/log/libvirt/libxl/*.log";
        let log = self.machine.dom0.run(log, XL)?.stdout;
        bail!("virsh {words}:{} {log}", out.said())
    }
}

/// libvirt's client, asking the daemon of this dom0.
pub const VIRSH: &str = "virsh --connect xen:///system";

/// Starts libvirt's daemon in a dom0, unless it runs.
///
/// # Errors
/// With what the daemon says, if it does not start.
pub fn begin_daemon(dom0: &Channel, host: Host) -> Result<()> {
    if dom0.run("pidof libvirtd", XL)?.ok() {
        return Ok(());
    }
    dom0.must("mkdir -p /etc/libvirt", XL)?;
    dom0.put("/etc/libvirt/libvirtd.conf", daemon(host).as_bytes())?;
    let script =
        "libvirtd --daemon --listen </dev/null >/lab/libvirtd.log 2>&1 || { cat /lab/libvirtd.log; exit 1; }";
    dom0.must(script, XL).map(drop)
}

/// What ends a domain and everything that libvirt knows of it; neither need be there.
pub fn forget(name: &str) -> String {
    format!("{VIRSH} destroy {name}; {VIRSH} undefine {name} --managed-save")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::kernel::Arch;
    use crate::guest::standard;

    #[test]
    fn a_command_line_is_quoted_and_each_name_has_a_uuid_of_its_own() {
        let mut config = standard::pvh(Arch::X86_64);
        config.cmdline = "a<b&c".into();
        config.name = "guest".into();
        let text = xml(&config);
        assert!(text.contains("<cmdline>a&lt;b&amp;c</cmdline>"), "{text}");
        assert!(text.contains("8000-677565737467</uuid>"), "{text}");
    }
}
