//! A small made-up run, for the tests of the page and of how a browser shows it. All its words are
//! hostile.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

/// The life of its guest, as the report reads it.
#[cfg(test)]
pub fn life() -> super::found::Life {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path()).unwrap();
    super::runs::collect(dir.path()).unwrap().runs[0].lives[0].clone()
}

/// A made-up run: a demo of one guest that is saved and restored, one suspend that fails, a
/// migration, and two tests, all with hostile words in them.
pub fn write(runs: &Path) -> Result<()> {
    let demo = runs.join("20260101-101010-demo");
    fs::create_dir_all(&demo)?;
    fs::create_dir_all(runs.join("20260101-091010-demo"))?;
    let t = |s: f64| 1_700_000_000.0 + s;
    let mut timeline = String::new();
    for (from, to, what, result) in [
        (0.0, 2.0, "xl create", "ok"),
        (2.0, 5.0, "xl vcpu-set 1", "ok"),
        (5.0, 9.0, "xl save", "ok"),
        (9.0, 12.0, "xl restore", "<b>bad</b>"),
    ] {
        for (at, result) in [(from, "begins"), (to, result)] {
            timeline.push_str(&format!(
                "{}\n",
                serde_json::json!({"guest": "g", "unix": t(at), "secs": at, "what": what, "result": result})
            ));
        }
    }
    timeline.push_str("torn {");
    fs::write(demo.join("timeline.jsonl"), timeline)?;
    let mut lines = String::new();
    for (at, body) in events() {
        lines.push_str(&format!(
            "{}\n",
            serde_json::json!({"unix": t(at), "incoming": false, "event": body})
        ));
    }
    lines.push_str("nonsense\n");
    fs::write(demo.join("events-g.jsonl"), lines)?;
    fs::write(
        demo.join("console-g.log"),
        "hello </pre><script>alert(1)</script>\n",
    )?;
    fs::write(
        demo.join("passes-g.log"),
        "round 1\npass 8192 0 2000000000\npass 120 0 1000000\npass 31 0 5000\n",
    )?;
    fs::write(
        demo.join("summary.json"),
        serde_json::json!([["g", [{"step": "xl create", "findings": [], "secs": 2.0, "drained": "", "checked": "churn"},
            {"step": "xl restore", "findings": ["<script>x</script>"], "secs": 3.0, "drained": "", "checked": ""}]]])
        .to_string(),
    )
    ?;
    let test = runs.join("20260101-111111-test");
    fs::create_dir_all(test.join("machine-1"))?;
    fs::write(test.join("host-fmt.log"), "fine\n")?;
    fs::write(test.join("machine-1/xen.log"), "(XEN) hm\n")?;
    fs::create_dir_all(test.join("lab-x-main"))?;
    fs::write(test.join("lab-x-main/console-g.log"), "guest says\n")?;
    fs::write(
        test.join("summary.json"),
        serde_json::json!([
            {"test": "host/fmt", "secs": 1.0, "run": "r", "log": "host-fmt.log", "result": "passed", "why": "fine"},
            {"test": "lab/x/main", "secs": 9.0, "run": "target/lab/runs/a/machine-1", "log": "lab-x-main",
             "result": "failed", "why": "<img src=x>"},
            {"test": "host/evil", "secs": 1.0, "log": "../20260101-111111-test/host-fmt.log", "result": "skipped", "why": "no"},
        ])
        .to_string(),
    )
    ?;
    let bench = runs.join("20260101-121212-bench-linux");
    fs::create_dir_all(&bench)?;
    fs::write(
        bench.join("bench.json"),
        serde_json::json!({"title": "T", "notes": ["n"], "tables":
            [{"title": "A & B", "columns": ["x", "y"], "rows": [["<1>", "2"]]}],
            "charts": [{"title": "C", "along": "sets cached", "points": ["0", "1000"], "unit": "ms",
                "lines": [["1 vCPU, drained", [1.5, 120.0]], ["16 vCPUs, trimmed early", [null, 30.0]]]}]})
        .to_string(),
    )?;
    Ok(())
}

/// Events of the made-up guest, with seconds on the host's clock.
pub fn events() -> Vec<(f64, Value)> {
    let e = |ev: &str, t: u64, more: Value| {
        let mut body = serde_json::json!({"v": 1, "ev": ev, "t": t, "cpu": 0});
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        body
    };
    let churn = |t: u64, online: Value, cached: Value| {
        e(
            "churn",
            t,
            serde_json::json!({"online": online, "cached": cached, "depot": 2,
            "checks": 1000, "mismatches": 0}),
        )
    };
    let phase = |t: u64, round: u64, phase: &str, ns: u64| {
        e(
            "suspend",
            t,
            serde_json::json!({"round": round, "phase": phase, "ns": ns}),
        )
    };
    let ms = 1_000_000;
    vec![
        (
            0.5,
            e(
                "boot",
                0,
                serde_json::json!({"arch": "x86_64", "mode": "pvh", "max_vcpus": 2, "build": "plain"}),
            ),
        ),
        (
            1.0,
            e("ready", 500 * ms, serde_json::json!({"online": [0, 1]})),
        ),
        (
            2.0,
            churn(
                1500 * ms,
                serde_json::json!([0, 1]),
                serde_json::json!([8, 16]),
            ),
        ),
        (
            2.5,
            e(
                "cpu-down",
                2000 * ms,
                serde_json::json!({"vcpu": 1, "drained": 16, "left": 0}),
            ),
        ),
        (
            3.0,
            churn(2500 * ms, serde_json::json!([0]), serde_json::json!([9, 0])),
        ),
        (
            4.0,
            e(
                "cpu-up",
                3500 * ms,
                serde_json::json!({"vcpu": 1, "why": "hotplug"}),
            ),
        ),
        (5.1, phase(5000 * ms, 1, "requested", 0)),
        (5.1, phase(5008 * ms, 1, "acknowledged", 8 * ms)),
        (5.1, phase(5010 * ms, 1, "quiesced", 10 * ms)),
        (
            5.1,
            e(
                "drain",
                5014 * ms,
                serde_json::json!({"round": 1, "why": "suspend", "per_cpu": [9, 7], "depot": 2,
            "sets": 18, "in_flight": 0, "left": 0, "backend_calls": 1, "ns": 3 * ms}),
            ),
        ),
        (5.1, phase(5015 * ms, 1, "drained", 15 * ms)),
        (5.1, phase(5030 * ms, 1, "audited", 30 * ms)),
        (5.1, phase(5031 * ms, 1, "detached", 31 * ms)),
        (
            10.1,
            e(
                "resumed",
                5050 * ms,
                serde_json::json!({"round": 1, "how": "restored", "online": [0, 1],
            "ns": {"requested": 0, "acknowledged": 8 * ms, "quiesced": 10 * ms, "drained": 15 * ms,
                "audited": 30 * ms, "detached": 31 * ms, "suspended": 33 * ms, "restored": 45 * ms}}),
            ),
        ),
        (
            10.2,
            e(
                "verify",
                5060 * ms,
                serde_json::json!({"why": "restored", "spaces": 32, "checks": 500,
            "mismatches": 0, "online": [0, 1]}),
            ),
        ),
        (
            11.0,
            churn(
                6000 * ms,
                serde_json::json!([0, 1]),
                serde_json::json!([4, 2]),
            ),
        ),
        (11.5, phase(6500 * ms, 2, "requested", 0)),
        (11.5, phase(6504 * ms, 2, "acknowledged", 4 * ms)),
        (
            11.6,
            e(
                "suspend-failed",
                6510 * ms,
                serde_json::json!({"round": 2, "phase": "audited", "party": "guest",
            "msg": "page <7>"}),
            ),
        ),
    ]
}
