//! Two hosts: two machines, each with its own Xen and dom0, joined by a network of their own.
//!
//! The network is [`crate::host::network`]. On it the dom0s are called `a` and `b`, and root of each
//! may log in at the other with the key of the lab's image: what `xl migrate GUEST b` needs.

use std::path::Path;
use std::time::Duration;

use anyhow::{bail, Context, Result};

use crate::base::progress;
use crate::base::repo;
use crate::host::detached::UpState;
use crate::host::image::{self, Image};
use crate::host::machine::{Booting, Machine, Spec};
use crate::host::network::{Cable, Host, CARD, MTU};

/// The processors of a host: dom0 has one for itself, the guest has the other. A guest that churns
/// on both leaves dom0 only the time between two world switches, and ssh then needs ten times as
/// long for the same bytes.
const DOM0_CPU: u32 = 0;
/// The guest's.
pub const GUEST_CPU: u32 = 1;

/// dom0's ssh client. `-K`: a network that is cut is noticed after 15 s, not when TCP gives up;
/// meanwhile a guest that was suspended for its migration runs nowhere.
const SSH: &str = "#!/bin/sh\nexec dbclient -K 5 \"$@\"\n";

/// Boots two hosts at the same time, joined by a network, and gives the first with the second
/// as its `peer`. Each dom0 reaches the other by ssh under its name ([`Host::name`]).
///
/// # Errors
/// As [`Machine::boot`], and if the two do not reach each other.
pub fn boot(run: &Path, detached: bool, specs: [Spec; 2]) -> Result<Machine> {
    for xen in specs.map(|spec| spec.xen) {
        xen.hypervisor(&image::ensure(xen.release())?)?;
    }
    progress::step("booting two hosts, each with Xen and dom0", || {
        let cables = Cable::pair()?;
        let mut booting = Vec::new();
        for ((host, spec), cable) in Host::ALL.into_iter().zip(specs).zip(&cables) {
            let run = run.join(format!("host-{}", host.name()));
            repo::make_dir(&run)?;
            booting.push(Booting::start(&run, detached, spec, Some((host, cable)))?);
        }
        // Only the machines hold the cable's ends from now on: should one die, the other sees
        // it.
        drop(cables);
        let images: Vec<Image> = booting.iter().map(|b| b.image.clone()).collect();
        let up: Result<Vec<Machine>> = booting.into_iter().map(Booting::finish).collect();
        let joined = up.and_then(|mut up| {
            let (Some(b), Some(mut a)) = (up.pop(), up.pop()) else {
                bail!("two machines were started, fewer came up");
            };
            join(&a, &b, &images)?;
            a.peer = Some(Box::new(b));
            Ok(a)
        });
        if detached && joined.is_err() {
            // One alone, or two that do not see each other, are of no use.
            Host::ALL
                .into_iter()
                .filter_map(UpState::load_host)
                .for_each(|s| s.stop());
        }
        joined
    })
}
/// Gives both dom0s addresses, names and keys, and tries the way from each to the other.
///
/// # Errors
/// If one does not reach the other.
fn join(a: &Machine, b: &Machine, images: &[Image]) -> Result<()> {
    let limit = Duration::from_secs(60);
    let [image_a, image_b] = images else {
        bail!("two hosts need two images");
    };
    let names: String = Host::ALL
        .map(|host| format!("{} {}\n", host.address(), host.name()))
        .concat();
    for (host, machine, peer) in [(Host::A, a, image_b), (Host::B, b, image_a)] {
        let dom0 = &machine.dom0;
        let known = std::fs::read_to_string(&peer.known_hosts).context("the host key is gone")?;
        // dropbear's client takes a comment after the key for a part of it.
        let mut words = known.split_whitespace().skip(1);
        let (Some(kind), Some(public)) = (words.next(), words.next()) else {
            bail!("the host key is no line of known_hosts");
        };
        let known = format!("{} {kind} {public}\n", host.other().name());
        let key = std::fs::read(&peer.peer_key).context("the client key is gone")?;
        dom0.put("/lab/known_hosts", known.as_bytes())?;
        dom0.put("/lab/id_dropbear", &key)?;
        dom0.put(
            "/etc/hosts",
            format!("127.0.0.1 localhost\n{names}").as_bytes(),
        )?;
        dom0.put("/lab/ssh", SSH.as_bytes())?;
        dom0.must(
            &format!(
                "mkdir -p ~/.ssh && mv /lab/known_hosts /lab/id_dropbear ~/.ssh && chmod 600 ~/.ssh/id_dropbear && \
                 chmod 755 /lab/ssh && mv /lab/ssh /usr/bin/ssh && \
                 echo {} > /proc/sys/kernel/hostname && ip addr add {}/24 dev {CARD} && ip link set {CARD} mtu {MTU} up && \
                 xl vcpu-pin Domain-0 all {DOM0_CPU}",
                host.name(),
                host.address(),
            ),
            limit,
        )?;
    }
    for (host, machine) in [(Host::A, a), (Host::B, b)] {
        let other = host.other().name();
        machine
            .dom0
            .must(&format!("ssh {other} true"), limit)
            .with_context(|| format!("host {} does not reach host {other}", host.name()))?;
    }
    Ok(())
}

/// The two that `up --hosts 2 --detach` left: host a, with host b as its peer.
///
/// # Errors
/// If they do not answer.
pub fn attach() -> Result<Option<Machine>> {
    let [Some(a), Some(b)] = Host::ALL.map(UpState::load_host) else {
        return Ok(None);
    };
    let mut machine = Machine::attach(&a)?;
    machine.peer = Some(Box::new(Machine::attach(&b)?));
    Ok(Some(machine))
}
