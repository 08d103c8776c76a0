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
mod tests {
    use super::*;
    use crate::guest::event::{parse, Line};

    fn log(lines: &[&str]) -> Vec<Event> {
        lines
            .iter()
            .enumerate()
            .map(|(n, body)| {
                let line = format!("@{{\"v\":1,\"t\":{},\"cpu\":0,{body}}}", (n + 1) * 1000);
                match parse(line.as_bytes()) {
                    Line::Event(event) => event,
                    other => panic!("{other:?}"),
                }
            })
            .collect()
    }

    fn churn_line(ops: &str, ticks: &str, checks: u32) -> String {
        format!(
            r#""ev":"churn","online":[0,1],"ops":{ops},"timer_ticks":{ticks},"early_ticks":[0,0,0],"checks":{checks},"mismatches":0,"stack_left":[4096,9000,9000]"#
        )
    }

    #[test]
    fn a_stack_that_runs_out_is_found() {
        let run = |from: &str, to: &str| {
            let a = churn_line("[5,5,5]", "[1,1,1]", 10);
            let b = churn_line("[6,6,5]", "[2,2,1]", 11).replace(from, to);
            churn(&log(&[&a, &b]), &[0, 1])
        };
        assert_eq!(run("", ""), Findings::new());
        assert_eq!(
            run("4096", "4088"),
            ["vCPU 0 has only 4088 bytes of its stack left"]
        );
        assert_eq!(run("stack_left", "x"), ["churn has no stack_left"]);
    }

    #[test]
    fn churn_must_advance_where_it_should_and_only_there() {
        let run = |ops: &str, ticks: &str, checks, online: &[u64]| {
            let (a, b) = (
                churn_line("[5,5,5]", "[1,1,1]", 10),
                churn_line(ops, ticks, checks),
            );
            churn(&log(&[&a, &b]), online)
        };
        assert_eq!(run("[6,6,5]", "[2,2,1]", 11, &[0, 1]), Findings::new());
        assert!(run("[6,5,5]", "[2,2,1]", 11, &[0, 1])[0].contains("vCPU 1 is online"));
        assert!(run("[6,6,6]", "[2,2,1]", 11, &[0, 1])[0].contains("vCPU 2 is offline"));
        assert!(run("[6,6,5]", "[1,2,1]", 11, &[0, 1])[0].contains("timer ticks stand still"));
        assert!(run("[6,6,5]", "[2,2,1]", 10, &[0, 1])[0].contains("no pattern"));
        assert!(!run("[6,6]", "[2,2,1]", 11, &[0, 1]).is_empty());
        assert!(!run("[6,6,5]", "[2,2,1]", 11, &[0, 1, 2]).is_empty());
        assert!(!churn(&log(&[&churn_line("[1]", "[1]", 1)]), &[0]).is_empty());
        assert!(!churn(&[], &[0]).is_empty());
    }

    #[test]
    fn ticks_before_their_time_are_found() {
        let run = |ticks: &str, early: &str| {
            let a = churn_line("[5,5,5]", "[1,1,1]", 10);
            let b = churn_line("[6,6,5]", ticks, 11);
            let b = b.replace("\"early_ticks\":[0,0,0]", early);
            churn(&log(&[&a, &b]), &[0, 1])
        };
        let early = |ticks, early| run(ticks, &format!("\"early_ticks\":{early}")).join("; ");
        assert_eq!(early("[31,31,1]", "[5,10,0]"), "");
        assert_eq!(
            early("[31,31,1]", "[6,10,0]"),
            "16 of 60 timer ticks came before they were due"
        );
        // Few ticks say little.
        assert_eq!(early("[11,2,1]", "[9,1,0]"), "");
        assert_eq!(
            early("[11,2,1]", "[10,1,0]"),
            "11 of 11 timer ticks came before they were due"
        );
        assert_eq!(run("[2,2,1]", "\"x\":0"), ["churn has no early_ticks"]);
    }

    #[test]
    fn a_wrong_time_of_day_is_found() {
        let at = |us: &str| {
            let events = log(&[&format!(r#""ev":"resumed"{us}"#)]);
            wall_clock(&events[0], 1000.0, 1010.0)
        };
        for good in [998_100_000u64, 1_000_000_000, 1_005_000_000, 1_011_900_000] {
            assert_eq!(at(&format!(r#","wall_us":{good}"#)), Findings::new());
        }
        let said = |us: &str| at(us).join("");
        assert!(said(r#","wall_us":997000000"#).contains("3.0 s behind dom0's"));
        assert!(said(r#","wall_us":1013000000"#).contains("3.0 s ahead of dom0's"));
        assert!(said(r#","wall_us":0"#).contains("behind"));
        assert!(said("").contains("wall_us is missing"));
    }

    #[test]
    fn nmis_must_arrive_everywhere_and_be_told_ever_less() {
        let event = |count: u64, rest: &str| {
            let body = format!(r#""ev":"nmi","count":{count}{rest}"#);
            log(&[&body]).remove(0)
        };
        let told =
            |counts: &[u64]| -> Vec<Event> { counts.iter().map(|&n| event(n, "")).collect() };
        assert!(nmis(&told(&[1, 2, 5]), &[0, 0], &[3, 3], &[0, 1]).is_empty());
        // One vCPU has seen none, and being offline would be a reason.
        assert!(!nmis(&told(&[1]), &[0, 0], &[3, 0], &[0, 1]).is_empty());
        assert!(nmis(&told(&[1]), &[0, 0], &[3, 0], &[0]).is_empty());
        // Told each time; told never.
        assert!(!nmis(&told(&[1, 2, 3, 4]), &[0], &[4], &[0]).is_empty());
        assert!(!nmis(&[], &[0], &[4], &[0]).is_empty());
        assert!(nmis(&[], &[4], &[5], &[0]).is_empty());
        for bad in [r#","taken":3,"damaged":1"#, r#","taken":0,"damaged":0"#] {
            assert!(!nmis(&[event(64, bad)], &[0], &[64], &[0]).is_empty());
        }
        // A reboot begins anew.
        assert_eq!(grown(&[5, 1], &[2, 4, 1]), [2, 3, 1]);
    }

    #[test]
    fn short_memory_must_be_noticed_and_must_end() {
        let run = |counts: &[u64], short| {
            let lines: Vec<String> = counts
                .iter()
                .map(|n| format!(r#""ev":"churn","no_frames":{n}"#))
                .collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            frames(&log(&lines), short).is_empty()
        };
        assert!(run(&[0, 1], true) && run(&[3, 3, 3], false));
        assert!(!run(&[1, 1], true) && !run(&[3, 4], false));
        assert!(!run(&[1], true) && !run(&[1], false) && !run(&[], false));
        assert!(!frames(&log(&[r#""ev":"churn""#, r#""ev":"churn""#]), false).is_empty());
    }

    #[test]
    fn alarms_are_heard() {
        assert!(alarms(&log(&[r#""ev":"ready","online":[0]"#])).is_empty());
        for bad in [
            r#""ev":"panic","msg":"x","at":"y""#,
            r#""ev":"error","party":"guest","where":"x","msg":"y""#,
            r#""ev":"mismatch","vcpu":1"#,
            r#""ev":"suspend-failed","round":1"#,
            r#""ev":"churn","mismatches":1"#,
            r#""ev":"verify""#,
        ] {
            assert_eq!(alarms(&log(&[bad])).len(), 1, "{bad}");
        }
    }

    fn suspend_log(drain: &str) -> Vec<String> {
        let mut lines: Vec<String> = PHASES
            .iter()
            .map(|phase| format!(r#""ev":"suspend","round":2,"phase":"{phase}","ns":1"#))
            .collect();
        lines.insert(
            3,
            format!(r#""ev":"drain","round":2,"why":"suspend",{drain}"#),
        );
        lines
    }

    const GOOD_DRAIN: &str = r#""per_cpu":[3,0],"depot":4,"sets":7,"in_flight":0,"left":0"#;

    fn check_suspend(lines: &[String]) -> Findings {
        suspend(
            &log(&lines.iter().map(String::as_str).collect::<Vec<_>>()),
            2,
            2,
        )
    }

    #[test]
    fn a_suspend_needs_its_drain_and_phases() {
        assert_eq!(check_suspend(&suspend_log(GOOD_DRAIN)), Findings::new());
        for (from, to) in [
            ("\"left\":0", "\"left\":1"),
            ("\"left\":0", "\"gone\":0"),
            ("\"in_flight\":0", "\"in_flight\":2"),
            ("[3,0]", "[3]"),
            ("\"sets\":7", "\"sets\":8"),
            ("\"depot\":4,", ""),
        ] {
            let drain = GOOD_DRAIN.replace(from, to);
            assert!(!check_suspend(&suspend_log(&drain)).is_empty(), "{drain}");
        }
        for leave_out in 0..7 {
            let mut lines = suspend_log(GOOD_DRAIN);
            lines.remove(leave_out);
            assert_eq!(check_suspend(&lines).len(), 1, "{leave_out}");
        }
        let mut lines = suspend_log(GOOD_DRAIN);
        lines.swap(0, 1);
        assert!(!check_suspend(&lines).is_empty());
        let mut lines = suspend_log(GOOD_DRAIN);
        lines.swap(3, 6);
        assert!(!check_suspend(&lines).is_empty());
        // The other round's events do not count.
        assert!(!suspend(&log(&[]), 2, 2).is_empty());
    }

    #[test]
    fn a_refusal_names_its_reason() {
        let good = r#""ev":"suspend-failed","round":1,"phase":"audited","party":"guest","msg":"L2 page 0x5 slot 3 (x) is linear""#;
        let words = ["page", "slot"];
        let run = |line: &str| refused(&log(&[line])[0], 1, GivenUp::IN_AUDIT, &words);
        assert_eq!(run(good), Findings::new());
        for (from, to) in [
            ("\"round\":1", "\"round\":2"),
            ("audited", "drained"),
            ("\"guest\"", "\"xen\""),
            ("slot", ""),
            ("\"msg\"", "\"text\""),
        ] {
            assert!(!run(&good.replace(from, to)).is_empty(), "{from}");
        }
    }

    #[test]
    fn resumed_must_be_what_was_asked_for() {
        let good = r#""ev":"resumed","round":1,"how":"restored","online":[0,1]"#;
        assert!(resumed(&log(&[good]), 1, "restored", &[0, 1]).is_empty());
        assert!(!resumed(&log(&[good]), 1, "cancelled", &[0, 1]).is_empty());
        assert!(!resumed(&log(&[good]), 1, "restored", &[0]).is_empty());
        assert!(!resumed(&log(&[good]), 2, "restored", &[0, 1]).is_empty());
        let waits = |n: u32| good.to_owned() + &format!(r#","console_waits":{n}"#);
        assert!(resumed(&log(&[&waits(0)]), 1, "restored", &[0, 1]).is_empty());
        assert!(!resumed(&log(&[&waits(1)]), 1, "restored", &[0, 1]).is_empty());
        let phase = r#""ev":"suspend","round":1,"phase":"detached""#;
        let mut events = log(&[phase, good]);
        assert!(resumed(&events, 1, "restored", &[0, 1]).is_empty());
        events[1].t = 1;
        assert!(!resumed(&events, 1, "restored", &[0, 1]).is_empty());
        assert!(!clocks(&events).is_empty());
    }

    #[test]
    fn faults_must_add_up_and_be_named() {
        let one = r#""ev":"fault","nth":3,"msg":"suspend: SCHEDOP_shutdown(suspend): ENOMEM (12)""#;
        let end = r#""ev":"faults-end","faults":3,"gave_up":1,"went_on":2"#;
        assert_eq!(faults(&log(&[one, end])), Findings::new());
        assert!(!faults(&log(&[one])).is_empty());
        assert!(!faults(&log(&[end])).is_empty());
        assert!(!faults(&log(&[one, one, end])).is_empty());
        assert!(!faults(&log(&[&one.replace("ENOMEM (12)", "it failed"), end])).is_empty());
        assert!(!faults(&log(&[&one.replace("SCHEDOP_shutdown", "mmu_update"), end])).is_empty());
        assert!(!faults(&log(&[one, &end.replace(":3", ":4")])).is_empty());
    }

    #[test]
    fn verify_and_cpu_down_can_fail() {
        let good =
            r#""ev":"verify","why":"hotplug","spaces":3,"checks":9,"mismatches":0,"online":[0]"#;
        assert!(verify(&log(&[good]), "hotplug", &[0]).is_empty());
        assert!(!verify(&log(&[good]), "restored", &[0]).is_empty());
        assert!(!verify(&log(&[good]), "hotplug", &[0, 1]).is_empty());
        for (from, to) in [
            ("\"spaces\":3", "\"spaces\":0"),
            ("\"mismatches\":0", "\"mismatches\":1"),
        ] {
            assert!(!verify(&log(&[&good.replace(from, to)]), "hotplug", &[0]).is_empty());
        }
        let down = r#""ev":"cpu-down","vcpu":3,"why":"hotplug","drained":5,"left":0"#;
        assert!(cpu_down(&log(&[down]), 3).is_empty());
        assert!(!cpu_down(&log(&[down]), 2).is_empty());
        assert!(!cpu_down(&log(&[&down.replace("\"left\":0", "\"left\":2")]), 3).is_empty());
        assert!(!cpu_down(&log(&[&down.replace("\"drained\":5,", "")]), 3).is_empty());
    }
}
