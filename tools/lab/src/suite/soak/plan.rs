//! Which actions, in which order: pure, so that a seed says it all.

use crate::life::fault::Fault;
use crate::life::Action;

/// MiB that a guest of the soak begins with, and the fewest and the most that it is given.
pub const MEM: u64 = 32;
/// See [`MEM`].
const LEAST_MEM: u64 = 24;
/// See [`MEM`].
pub const MAX_MEM: u64 = 64;

/// What a guest is, as far as it matters for what may be done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// It does not exist yet, or no longer.
    gone: bool,
    /// It is an image.
    saved: bool,
    /// So many vCPUs are online, if that is known.
    online: Option<u64>,
    /// So many there can be.
    max: u64,
    /// This Xen migrates it live.
    live: bool,
    /// So many MiB are its target.
    mem: u64,
    /// An `xl` waits for its end. It ends itself at a suspend, and after one that was cancelled
    /// nobody is left to start a guest again that asks for a reboot.
    watched: bool,
}

impl State {
    /// Before the guest is created.
    pub fn new(max: u64, live: bool) -> Self {
        Self {
            gone: true,
            saved: false,
            online: Some(max),
            max,
            live,
            mem: MEM,
            watched: true,
        }
    }

    /// The state after this action, or `None` if it may not be done now.
    pub fn after(mut self, action: &Action) -> Option<Self> {
        let is = |yes: bool| yes.then_some(());
        let set = |n: u64| is((1..=self.max).contains(&n) && self.online != Some(n));
        match *action {
            Action::Create => {
                is(self.gone)?;
                self.gone = false;
                return Some(self);
            }
            Action::Restore => {
                is(self.saved)?;
                self.saved = false;
                self.watched = true;
                return Some(self);
            }
            Action::RestoreThenVcpuSet(n) => {
                is(self.saved && self.online.is_some())?;
                set(n)?;
                self.saved = false;
                self.watched = true;
                self.online = Some(n);
                return Some(self);
            }
            _ => is(!self.gone && !self.saved)?,
        }
        match *action {
            Action::VcpuSet(n) | Action::VcpuSetDuringCheckpoint(n) => {
                // The checks compare with what was online before.
                set(n)?;
                self.online = Some(n);
                self.watched &= matches!(action, Action::VcpuSet(_));
            }
            Action::MemSet(mib) => {
                is(mib != self.mem)?;
                self.mem = mib;
            }
            Action::Checkpoint => self.watched = false,
            Action::Save => self.saved = true,
            Action::Poweroff | Action::Halt => self.gone = true,
            Action::Reboot => is(self.watched)?,
            Action::Migrate | Action::Remus(_) => {
                is(self.live)?;
                self.watched = true;
            }
            Action::Across | Action::Carry | Action::RefusedAcross(_) => return None,
            Action::Fault(Fault::NetworkCut) => return None,
            Action::Fault(Fault::HotplugStorm(count, seed)) => {
                self.online = Some(fault_online(count, seed, self.max));
            }
            Action::Fault(fault) => {
                let migrates = matches!(
                    fault,
                    Fault::ReceiverDiesBefore
                        | Fault::ReceiverDiesDuring
                        | Fault::ReceiverDiesAfter
                        | Fault::SenderKilled
                );
                is(self.live || !migrates)?;
                self.gone = fault == Fault::PoweroffMeetsSuspend;
                self.watched = false;
            }
            _ => {}
        }
        Some(self)
    }
}

/// With how many vCPUs such a storm ends: its last draw.
fn fault_online(count: u64, seed: u64, max: u64) -> u64 {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..=count)
        .map(|_| random.u64(1..=max))
        .last()
        .unwrap_or(max)
}

/// Whether the whole list may be run.
pub fn is_legal(start: State, actions: &[Action]) -> bool {
    actions
        .iter()
        .try_fold(start, |state, action| state.after(action))
        .is_some()
}

/// A random legal life of this many actions between `create` and the end.
pub fn life(random: &mut fastrand::Rng, start: State, length: usize) -> Vec<Action> {
    let mut actions = vec![Action::Create];
    let Some(mut state) = start.after(&Action::Create) else {
        return actions;
    };
    while actions.len() <= length {
        let action = draw(random, state);
        // What is not legal now is drawn again.
        if let Some(next) = state.after(&action) {
            state = next;
            actions.push(action);
        }
    }
    if state.saved {
        actions.push(Action::Restore);
    }
    actions.push(match random.u8(0..6) {
        0 => Action::Halt,
        1 => Action::Fault(Fault::PoweroffMeetsSuspend),
        _ => Action::Poweroff,
    });
    actions
}

fn draw(random: &mut fastrand::Rng, state: State) -> Action {
    let n = random.u64(1..=state.max);
    if state.saved {
        return match random.u8(0..4) {
            0 => Action::RestoreThenVcpuSet(n),
            _ => Action::Restore,
        };
    }
    match random.u8(0..46) {
        0..=6 => Action::VcpuSet(n),
        7..=12 => Action::Save,
        13..=16 => Action::Checkpoint,
        17..=23 => Action::Migrate,
        24 | 25 => Action::Ping,
        26 => Action::Drain,
        27 => Action::Unknown,
        28 => Action::Reboot,
        29 | 30 => Action::VcpuSetDuringCheckpoint(n),
        31 | 32 => Action::Fault(Fault::HotplugStorm(random.u64(5..=30), random.u64(0..1000))),
        33 => Action::Fault(Fault::DiskFull),
        34 => Action::Fault(Fault::PausedCheckpoint),
        35 => Action::Fault(Fault::RepeatedRequest),
        36 => Action::Fault(Fault::WithdrawnRequest),
        37 => Action::Fault(match random.u8(0..2) {
            0 => Fault::WatchStorm,
            _ => Fault::SlowStore,
        }),
        38 => Action::Fault(Fault::Checkpoints(random.u64(2..=5))),
        39 => Action::Nmis(random.u64(4..=100)),
        40..=42 => Action::MemSet(random.u64(LEAST_MEM..=MAX_MEM)),
        43 | 44 => Action::Remus(random.u64(2..=6)),
        _ => Action::Fault(match random.u8(0..4) {
            0 => Fault::ReceiverDiesBefore,
            1 => Fault::ReceiverDiesDuring,
            2 => Fault::ReceiverDiesAfter,
            _ => Fault::SenderKilled,
        }),
    }
}

/// Makes a failing list short: leaves out ever smaller parts as long as the rest is legal and still
/// fails. `fails` may be asked `tries` times.
///
/// # Errors
/// Those of `fails`.
pub fn shrink<E>(
    start: State,
    mut actions: Vec<Action>,
    mut tries: u32,
    mut fails: impl FnMut(&[Action]) -> Result<bool, E>,
) -> Result<Vec<Action>, E> {
    let mut part = actions.len() / 2;
    while part > 0 {
        let mut at = 1;
        while at + part <= actions.len() {
            let mut fewer = actions.clone();
            fewer.drain(at..at + part);
            if is_legal(start, &fewer) {
                if tries == 0 {
                    return Ok(actions);
                }
                tries -= 1;
                if fails(&fewer)? {
                    actions = fewer;
                    continue;
                }
            }
            at += 1;
        }
        part /= 2;
    }
    Ok(actions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_gives_a_legal_life_and_the_same_one_twice() {
        for seed in 0..500 {
            for (max, live) in [(4, true), (1, false), (8, true)] {
                let start = State::new(max, live);
                if max == 1 {
                    // With one vCPU there is nothing to plug; the rest must still be drawn.
                    assert!(start.after(&Action::VcpuSet(1)).is_none());
                }
                let draw = || life(&mut fastrand::Rng::with_seed(seed), start, 12);
                let actions = draw();
                assert!(is_legal(start, &actions), "{actions:?}");
                assert_eq!(actions, draw());
                assert!(live || !actions.contains(&Action::Migrate));
            }
        }
    }

    #[test]
    fn what_may_not_be_is_not_legal() {
        use Action::{Checkpoint, Create, Migrate, Poweroff, Reboot, Restore, Save, VcpuSet};
        let start = State::new(4, false);
        assert!(is_legal(
            start,
            &[Create, VcpuSet(2), Save, Restore, Poweroff]
        ));
        for bad in [
            &[Save][..],
            &[Create, Restore],
            &[Create, Save, VcpuSet(2)],
            &[Create, VcpuSet(4)],
            &[Create, VcpuSet(5)],
            &[Create, VcpuSet(0)],
            &[Create, Migrate],
            &[Create, Action::Remus(2)],
            &[Create, Poweroff, VcpuSet(2)],
            &[Create, Create],
            &[Create, Checkpoint, Reboot],
            &[Create, Action::MemSet(MEM)],
        ] {
            assert!(!is_legal(start, bad), "{bad:?}");
        }
    }

    #[test]
    fn a_failing_list_becomes_short() {
        use Action::{Checkpoint, Create, Ping, Poweroff, Restore, Save, VcpuSet};
        let start = State::new(4, true);
        let long = vec![
            Create,
            Ping,
            VcpuSet(2),
            Ping,
            Save,
            Restore,
            Checkpoint,
            Ping,
            Save,
            Restore,
            Ping,
            Poweroff,
        ];
        // Fails if it is saved after a vCPU went.
        let mut asked = 0;
        let short = shrink(start, long, 100, |actions| {
            asked += 1;
            assert!(is_legal(start, actions));
            let gone = actions.iter().position(|a| *a == VcpuSet(2));
            let saved = actions.iter().rposition(|a| *a == Save);
            Ok::<_, ()>(gone.is_some() && gone < saved)
        });
        assert_eq!(short, Ok(vec![Create, VcpuSet(2), Save]));
        assert!(asked < 100);
        let kept = shrink(start, vec![Create, Ping, Poweroff], 0, |_| {
            Ok::<_, ()>(true)
        });
        assert_eq!(kept, Ok(vec![Create, Ping, Poweroff]));
    }
}
