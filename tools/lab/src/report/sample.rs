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
    let line = |line: &str| {
        let (at, event) = line
            .split_once(' ')
            .expect("the host's second, then the event");
        let mut event: Value = serde_json::from_str(event).expect("JSON");
        event["v"] = 1.into();
        event["cpu"] = 0.into();
        (at.parse().expect("seconds"), event)
    };
    include_str!("sample-events.txt")
        .lines()
        .map(line)
        .collect()
}
