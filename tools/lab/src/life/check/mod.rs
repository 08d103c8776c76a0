//! What must hold in a guest's events. Pure functions: each takes events and gives findings
//! (nothing found: an empty list), so that each is shown to fail on a bad log without a hypervisor.

use crate::guest::event::Event;

/// What is wrong, in words for a person.
pub type Findings = Vec<String>;

/// The phases a suspend goes through, in this order (`docs/events.md`).
pub const PHASES: [&str; 6] = [
    "requested",
    "acknowledged",
    "quiesced",
    "drained",
    "audited",
    "detached",
];

/// Nothing in the log says that something is broken: no panic, error, mismatch or failed suspend.
pub fn alarms(events: &[Event]) -> Findings {
    let mut found = Findings::new();
    for event in events {
        match event.ev.as_str() {
            "panic" | "error" | "mismatch" | "suspend-failed" => {
                found.push(format!("the guest says {}: {}", event.ev, event.body));
            }
            "churn" | "verify" => match event.num("mismatches") {
                Some(0) => {}
                n => found.push(format!("{}: mismatches is {n:?}, not 0", event.ev)),
            },
            _ => {}
        }
    }
    found
}

/// Wake-ups of an idle guest's vCPUs in so many seconds. vCPU 0 reports once a second, and is told
/// when dom0 has read that; the others have no reason to wake.
///
/// With a tick it is 50 times a second, or as often as an emulated machine gets to it.
pub fn idle(woken: &[u64], seconds: u64) -> Findings {
    let most = |vcpu| if vcpu == 0 { 12 * seconds } else { seconds };
    woken
        .iter()
        .enumerate()
        .filter(|&(vcpu, &woken)| woken > most(vcpu))
        .map(|(vcpu, woken)| {
            format!("vCPU {vcpu} has nothing to do, and was woken {woken} times in {seconds} s")
        })
        .collect()
}

/// Timer ticks came before they were due, more of them than the wrong clocks of a busy emulated
/// machine explain.
///
/// Under emulation Xen's own clock, by which its timers go, now and then jumps by as much as a
/// tick's 20 ms: of a healthy guest's ticks up to 9 in 1000 came early. With `timer=early` all do
/// that are not late for other reasons.
fn early(first: &Event, last: &Event) -> Findings {
    let more = |key: &str| -> Option<Vec<u64>> {
        let (a, b) = (first.nums(key)?, last.nums(key)?);
        Some(
            a.iter()
                .zip(&b)
                .map(|(a, b)| b.saturating_sub(*a))
                .collect(),
        )
    };
    let (Some(ticks), Some(early)) = (more("timer_ticks"), more("early_ticks")) else {
        return vec!["churn has no early_ticks".into()];
    };
    let (ticks, early): (u64, u64) = (ticks.iter().sum(), early.iter().sum());
    if early > EARLY_FEW.max(ticks / EARLY_SHARE) {
        vec![format!(
            "{early} of {ticks} timer ticks came before they were due"
        )]
    } else {
        Findings::new()
    }
}

/// One in so many ticks may come early,
const EARLY_SHARE: u64 = 4;
/// and in any case so many.
const EARLY_FEW: u64 = 10;

/// What each vCPU's stack must have left, bytes. The largest batch of hypercalls takes 4 KiB: if
/// one more has no room, the next change of the kernel may end at the guard page.
const STACK_LEFT: u64 = 4096;

/// Between the first and the last `churn` event the work and the timers went on, on these vCPUs and
/// on no other.
pub fn churn(events: &[Event], online: &[u64]) -> Findings {
    let mut found = Findings::new();
    let churns: Vec<&Event> = events.iter().filter(|e| e.ev == "churn").collect();
    let (Some(first), Some(last)) = (churns.first(), churns.last()) else {
        return vec!["there is no churn event".into()];
    };
    if churns.len() < 2 {
        return vec!["there is only one churn event: nothing can be compared".into()];
    }
    for event in &churns {
        if event.nums("online").as_deref() != Some(online) {
            found.push(format!(
                "churn runs on {:?}, but {online:?} should be online",
                event.nums("online")
            ));
            break;
        }
    }
    for (key, name) in [("ops", "operations"), ("timer_ticks", "timer ticks")] {
        let (Some(before), Some(after)) = (first.nums(key), last.nums(key)) else {
            found.push(format!("churn has no {key}"));
            continue;
        };
        if before.len() != after.len() {
            found.push(format!("the number of vCPUs in {key} changed"));
            continue;
        }
        for (vcpu, (a, b)) in before.iter().zip(&after).enumerate() {
            let on = online.contains(&(vcpu as u64));
            if on && b <= a {
                found.push(format!(
                    "vCPU {vcpu} is online, but its {name} stand still at {b}"
                ));
            } else if !on && key == "ops" && b != a {
                found.push(format!(
                    "vCPU {vcpu} is offline, but its {name} went from {a} to {b}"
                ));
            }
        }
        for vcpu in online {
            if *vcpu >= after.len() as u64 {
                found.push(format!("vCPU {vcpu} is missing in {key}"));
            }
        }
    }
    found.extend(early(first, last));
    match last.nums("stack_left") {
        None => found.push("churn has no stack_left".into()),
        Some(left) => {
            for (vcpu, left) in left
                .iter()
                .enumerate()
                .filter(|(_, left)| **left < STACK_LEFT)
            {
                found.push(format!(
                    "vCPU {vcpu} has only {left} bytes of its stack left"
                ));
            }
        }
    }
    match (first.num("checks"), last.num("checks")) {
        (Some(a), Some(b)) if b > a => {}
        _ => found.push("no pattern was checked meanwhile".into()),
    }
    found
}

/// The drain of a suspend round: said, complete, and before the hypercall.
pub fn suspend(events: &[Event], round: u64, vcpus: usize) -> Findings {
    let mut found = Findings::new();
    let mine: Vec<&Event> = events
        .iter()
        .filter(|e| e.num("round") == Some(round))
        .collect();
    let mut last = 0;
    for phase in PHASES {
        match mine.iter().position(|e| e.is("suspend", "phase", phase)) {
            None => found.push(format!("round {round}: the phase {phase} is missing")),
            Some(at) if at < last => {
                found.push(format!("round {round}: the phase {phase} is out of order"));
            }
            Some(at) => last = at,
        }
    }
    let Some(at) = mine.iter().position(|e| e.is("drain", "why", "suspend")) else {
        found.push(format!("round {round}: there is no drain event"));
        return found;
    };
    if mine
        .iter()
        .position(|e| e.is("suspend", "phase", "detached"))
        .is_some_and(|detached| at > detached)
    {
        found.push(format!(
            "round {round}: the drain came after the last phase"
        ));
    }
    found.extend(drain(mine[at], vcpus));
    found
}

/// Where a suspend is to be given up, and who is to be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenUp {
    /// The phase that was not reached.
    pub phase: &'static str,
    /// The party at fault.
    pub party: &'static str,
}

impl GivenUp {
    /// In the audit: the guest's own mistake.
    pub const IN_AUDIT: Self = Self {
        phase: "audited",
        party: "guest",
    };
}

/// A suspend that the guest gave up: there, and for a reason in which all these words stand.
pub fn refused(event: &Event, round: u64, given_up: GivenUp, words: &[&str]) -> Findings {
    let mut found = Findings::new();
    if event.num("round") != Some(round) {
        found.push(format!(
            "suspend-failed: round is {:?}, not {round}",
            event.num("round")
        ));
    }
    for (key, value) in [("phase", given_up.phase), ("party", given_up.party)] {
        if event.text(key) != Some(value) {
            found.push(format!(
                "suspend-failed: {key} is {:?}, not {value}",
                event.text(key)
            ));
        }
    }
    let msg = event.text("msg").unwrap_or_default();
    for word in words.iter().filter(|word| !msg.contains(**word)) {
        found.push(format!("suspend-failed: \"{word}\" is not in: {msg}"));
    }
    found
}

/// A drain event proves that nothing was left in a cache or in flight.
pub fn drain(event: &Event, vcpus: usize) -> Findings {
    let mut found = Findings::new();
    for key in ["left", "in_flight"] {
        match event.num(key) {
            Some(0) => {}
            n => found.push(format!("drain: {key} is {n:?}, not 0")),
        }
    }
    match (event.nums("per_cpu"), event.num("depot"), event.num("sets")) {
        (Some(per_cpu), Some(depot), Some(sets)) => {
            if per_cpu.len() != vcpus {
                found.push(format!(
                    "drain: {} vCPUs are named, {vcpus} are possible",
                    per_cpu.len()
                ));
            }
            let sum = per_cpu.iter().sum::<u64>() + depot;
            if sum != sets {
                found.push(format!(
                    "drain: {sum} sets in caches and depot, but {sets} in all"
                ));
            }
        }
        _ => found.push("drain: per_cpu, depot or sets is missing".into()),
    }
    found
}

/// The way back: `resumed` as expected, on the same vCPUs, by a clock that did not go back.
pub fn resumed(events: &[Event], round: u64, how: &str, online: &[u64]) -> Findings {
    let mut found = Findings::new();
    let Some(at) = events
        .iter()
        .position(|e| e.ev == "resumed" && e.num("round") == Some(round))
    else {
        return vec![format!("round {round}: there is no resumed event")];
    };
    let event = &events[at];
    if event.text("how") != Some(how) {
        found.push(format!(
            "resumed: how is {:?}, not {how}",
            event.text("how")
        ));
    }
    if event.nums("online").as_deref() != Some(online) {
        found.push(format!(
            "resumed: {:?} are online, {online:?} should be",
            event.nums("online")
        ));
    }
    if let Some(waits @ 1..) = event.num("console_waits") {
        found.push(format!(
            "the suspend waited {waits} times for dom0 to read the console"
        ));
    }
    if let Some(steps @ 1..) = event.num("worked_meanwhile") {
        found.push(format!(
            "the other vCPUs were taken for parked and did {steps} steps of work"
        ));
    }
    let before = events
        .iter()
        .filter(|e| e.num("round") == Some(round) && e.ev != "resumed")
        .map(|e| e.t)
        .max();
    if before.is_some_and(|before| event.t < before) {
        found.push(format!(
            "the clock went back over the suspend, to {}",
            event.t
        ));
    }
    found
}

/// A `verify` event: every live address space was read back on these vCPUs.
pub fn verify(events: &[Event], why: &str, online: &[u64]) -> Findings {
    let Some(event) = events.iter().rfind(|e| e.is("verify", "why", why)) else {
        return vec![format!("there is no verify event for {why}")];
    };
    let mut found = Findings::new();
    if event.num("mismatches") != Some(0) {
        found.push(format!(
            "verify: mismatches is {:?}",
            event.num("mismatches")
        ));
    }
    if event.num("spaces").unwrap_or(0) == 0 || event.num("checks").unwrap_or(0) == 0 {
        found.push("verify: no address space was read".into());
    }
    if event.nums("online").as_deref() != Some(online) {
        found.push(format!(
            "verify: read on {:?}, {online:?} should be online",
            event.nums("online")
        ));
    }
    found
}

/// A vCPU left and took nothing with it.
pub fn cpu_down(events: &[Event], vcpu: u64) -> Findings {
    let Some(event) = events
        .iter()
        .rfind(|e| e.ev == "cpu-down" && e.num("vcpu") == Some(vcpu))
    else {
        return vec![format!("there is no cpu-down event for vCPU {vcpu}")];
    };
    let mut found = Findings::new();
    if event.num("left") != Some(0) {
        found.push(format!(
            "vCPU {vcpu} left with {:?} sets in its cache",
            event.num("left")
        ));
    }
    if event.num("drained").is_none() {
        found.push(format!("vCPU {vcpu}: drained is missing"));
    }
    found
}

/// Rehearsals with a fault each: some were given up, each of those named the call and the error,
/// and the rest went on.
pub fn faults(events: &[Event]) -> Findings {
    let Some(end) = events.iter().rfind(|e| e.ev == "faults-end") else {
        return vec!["there is no faults-end event".into()];
    };
    let mut found = Findings::new();
    let given_up: Vec<&Event> = events.iter().filter(|e| e.ev == "fault").collect();
    let (all, gave_up, went_on) = (end.num("faults"), end.num("gave_up"), end.num("went_on"));
    if gave_up != Some(given_up.len() as u64) {
        found.push(format!(
            "faults: {} fault events, but {gave_up:?} suspends given up",
            given_up.len()
        ));
    }
    if all != gave_up.zip(went_on).map(|(a, b)| a + b) {
        found.push(format!(
            "faults: {all:?} are not {gave_up:?} and {went_on:?}"
        ));
    }
    // The suspend call itself is one of them, and nothing can be saved without it.
    let last = given_up.iter().any(|e| {
        e.text("msg")
            .is_some_and(|msg| msg.contains("SCHEDOP_shutdown"))
    });
    if !last {
        found.push("faults: that the suspend call failed stopped no suspend".into());
    }
    for event in given_up {
        let msg = event.text("msg").unwrap_or_default();
        if !msg.contains("ENOMEM") {
            found.push(format!("faults: a message does not name the error: {msg}"));
        }
    }
    found
}

/// How far the guest's time of day may lie outside the span in which it was taken, seconds. dom0's
/// clock and Xen's are both set from the machine's at boot, which knows whole seconds.
pub const WALL_TOLERANCE: f64 = 2.0;

/// The time of day that an event gives is dom0's: between two readings of dom0's clock, before the
/// event was caused and after it had come, in seconds since 1970.
pub fn wall_clock(event: &Event, before: f64, after: f64) -> Findings {
    let Some(us) = event.num("wall_us") else {
        return vec![format!("{}: wall_us is missing", event.ev)];
    };
    let wall = us as f64 / 1e6;
    let (off, way) = if wall < before - WALL_TOLERANCE {
        (before - wall, "behind")
    } else if wall > after + WALL_TOLERANCE {
        (wall - after, "ahead of")
    } else {
        return Findings::new();
    };
    vec![format!(
        "{}: the guest's time of day is {off:.1} s {way} dom0's",
        event.ev
    )]
}

/// Memory was short between the first and the last `churn` event, and somebody noticed; or it is
/// not any more, and nobody did.
pub fn frames(events: &[Event], short: bool) -> Findings {
    let counts: Option<Vec<u64>> = events
        .iter()
        .filter(|e| e.ev == "churn")
        .map(|e| e.num("no_frames"))
        .collect();
    let Some(counts) = counts else {
        return vec!["churn has no no_frames".into()];
    };
    match counts.as_slice() {
        [first, .., last] if short && last <= first => {
            vec!["nothing lacked a frame: this shows nothing".into()]
        }
        [first, .., last] if !short && last != first => {
            vec![format!("frames were wanting {} times", last - first)]
        }
        [_, .., _] => Findings::new(),
        _ => vec!["there are no two churn events to compare".into()],
    }
}

/// By how much each number has grown. What began anew, as at a reboot, counts from 0.
pub fn grown(before: &[u64], after: &[u64]) -> Vec<u64> {
    let was = |n| before.get(n).copied().unwrap_or(0);
    let more = |(n, &now): (usize, &u64)| now.checked_sub(was(n)).unwrap_or(now);
    after.iter().enumerate().map(more).collect()
}

/// After so many NMIs one of them must have got a set: the caches of a guest at work are seldom
/// empty.
const POOL_USED_BY: u64 = 32;

/// NMIs arrived on each of these vCPUs, and the guest told of them, but of fewer and fewer.
pub fn nmis(events: &[Event], before: &[u64], after: &[u64], online: &[u64]) -> Findings {
    let mut found = Findings::new();
    let grown = grown(before, after);
    for vcpu in online {
        if grown.get(*vcpu as usize).is_none_or(|more| *more == 0) {
            found.push(format!("no NMI was counted on vCPU {vcpu}"));
        }
    }
    let tellings = || events.iter().filter(|e| e.ev == "nmi");
    let told = tellings().count() as u64;
    let last = tellings().filter_map(|e| e.num("count")).max();
    let all = after.iter().sum::<u64>().max(last.unwrap_or(0));
    // 1, 2, 4, 8, ...: as often as the number has binary digits.
    let most = u64::from(u64::BITS - all.leading_zeros());
    if told > most {
        found.push(format!(
            "{all} NMIs so far, and the guest told of them {told} times"
        ));
    }
    if before.iter().sum::<u64>() == 0 && told == 0 {
        found.push("the guest told nobody of its first NMIs".into());
    }
    // What the handler of a test build did with the pool.
    for event in tellings() {
        if event.num("damaged").is_some_and(|sets| sets > 0) {
            found.push(format!("a handler met a damaged set: {}", event.body));
        }
        if event.num("count") >= Some(POOL_USED_BY) && event.num("taken") == Some(0) {
            found.push(format!("no handler got a set: {}", event.body));
        }
    }
    found
}

/// Each vCPU's clock went only forwards, in the order its lines came.
pub fn clocks(events: &[Event]) -> Findings {
    let mut last = std::collections::BTreeMap::new();
    for event in events {
        let before = last.insert(event.cpu, event.t);
        if before.is_some_and(|before| event.t < before) {
            return vec![format!(
                "vCPU {}: the clock went back at {}",
                event.cpu, event.ev
            )];
        }
    }
    Findings::new()
}

#[cfg(test)]
mod tests;
