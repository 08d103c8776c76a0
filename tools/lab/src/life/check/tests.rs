//! Each check on a log that is as it should be, and on one that is not.

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
    let told = |counts: &[u64]| -> Vec<Event> { counts.iter().map(|&n| event(n, "")).collect() };
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
    let worked = |n: u32| good.to_owned() + &format!(r#","worked_meanwhile":{n}"#);
    assert!(resumed(&log(&[&worked(0)]), 1, "restored", &[0, 1]).is_empty());
    assert!(!resumed(&log(&[&worked(1)]), 1, "restored", &[0, 1]).is_empty());
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
    let good = r#""ev":"verify","why":"hotplug","spaces":3,"checks":9,"mismatches":0,"online":[0]"#;
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

#[test]
fn an_idle_vcpu_is_not_woken() {
    assert!(super::idle(&[40, 0, 5, 1], 5).is_empty());
    assert_eq!(super::idle(&[61, 0, 6, 0], 5).len(), 2);
}
