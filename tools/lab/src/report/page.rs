//! The page itself: one file, nothing fetched.

use maud::{html, Markup, PreEscaped, DOCTYPE};

use super::found::{time_of, Found, Life, Run, Step};
use super::life_parts::{steps_table, suspend_figures};
use super::scale::count;
use super::suspends::{suspends, End, Suspend};
use super::{bench_tables, cache_chart, pass_chart, test_table};

const STYLE: &str = include_str!("style.css");
/// Opens the steps' tables before the page is printed.
const SCRIPT: &str = include_str!("print.js");

/// The page.
pub fn render(found: &Found) -> Markup {
    let style = PreEscaped(STYLE);
    let script = PreEscaped(SCRIPT);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
                title { "Lab report" }
                style { (style) }
            }
            body {
                (patterns())
                header {
                    h1 { "Lab report" }
                    p.muted { "Save, restore and migration of guests that cache constructed page tables, on real Xen. From the newest runs; times on an emulated machine are for comparison with each other only." }
                    nav { ul {
                        @for (n, run) in found.runs.iter().enumerate() { li { a href=(format!("#run{n}")) { (run.kind) } } }
                        @if !found.guests.is_empty() { li { a href="#guests" { "other guests" } } }
                        @if !found.benches.is_empty() { li { a href="#figures" { "figures" } } }
                        @if !found.tests.is_empty() { li { a href="#tests" { "tests" } } }
                    } }
                }
                main {
                    (tiles(found))
                    @if found.runs.is_empty() && found.tests.is_empty() && found.benches.is_empty() && found.guests.is_empty() {
                        p { "Nothing was run yet: " code { "cargo lab demo" } " runs the main job." }
                    }
                    @for (n, run) in found.runs.iter().enumerate() { (run_section(run, n)) }
                    @if !found.guests.is_empty() {
                        section #guests { h2 { "Other guests" } @for life in &found.guests { (bench_tables::section(life)) } }
                    }
                    @if !found.benches.is_empty() {
                        section #figures { h2 { "Figures" } @for bench in &found.benches { (bench_tables::section(bench)) } }
                    }
                    @if !found.tests.is_empty() {
                        section #tests { h2 { "Tests" } (test_table::section(&found.tests)) }
                    }
                }
                footer.muted { "Made by " code { "cargo lab report" } "." }
                script { (script) }
            }
        }
    }
}

/// Hatches that the figures share.
fn patterns() -> Markup {
    let hatch = |id: &str, class: &str| {
        html! {
            pattern id=(id) width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                rect class=(class) width="2" height="6" {}
            }
        }
    };
    html! {
        svg.defs width="0" height="0" aria-hidden="true" { defs {
            (hatch("hatch-away", "hatch-away"))
            (hatch("hatch-off", "hatch-off"))
        } }
    }
}

/// The sums.
fn tiles(found: &Found) -> Markup {
    let lives: Vec<&Life> = found.runs.iter().flat_map(|run| &run.lives).collect();
    let suspends: Vec<Suspend> = lives.iter().flat_map(|life| suspends(life)).collect();
    let drains = suspends.iter().filter_map(|s| s.drain.as_ref());
    let (sets, left) = drains.fold((0, 0), |(sets, left), d| (sets + d.sets, left + d.left));
    let gone_wrong = suspends
        .iter()
        .filter(|s| !matches!(s.end, End::Back(_)))
        .count();
    // Each guest counts from its own beginning: its last report has the sum.
    let sum = |key: &str| -> u64 {
        lives
            .iter()
            .filter_map(|life| {
                let last = life.events.iter().rfind(|e| e.event.ev == "churn")?;
                last.event.num(key)
            })
            .sum()
    };
    let steps: Vec<&Step> = lives.iter().flat_map(|life| &life.steps).collect();
    let bad = steps.iter().filter(|s| !s.findings.is_empty()).count();
    let tile = |value: String, words: String, class: &str| {
        html! { div class={ "tile " (class) } { b { (value) } span { (words) } } }
    };
    html! {
        div.tiles {
            @if !steps.is_empty() {
                (tile(format!("{}/{}", steps.len() - bad, steps.len()), "steps held".into(), if bad > 0 { "bad" } else { "good" }))
            }
            @if !suspends.is_empty() {
                (tile(count(suspends.len() as u64), match gone_wrong { 0 => "suspends, all came back".into(), n => format!("suspends, {n} did not come back") }, ""))
                (tile(count(sets), format!("sets drained, {left} left over"), if left > 0 { "bad" } else { "" }))
            }
            @if !lives.is_empty() {
                @let mismatches = sum("mismatches");
                (tile(count(mismatches), format!("mismatches in {} pattern checks", count(sum("checks"))), if mismatches > 0 { "bad" } else { "good" }))
            }
            @for (n, word) in test_table::counts(&found.tests) {
                @if n > 0 { (tile(count(n as u64), format!("tests {word}"), match word { "failed" => "bad", "passed" => "good", _ => "" })) }
            }
        }
    }
}

fn run_section(run: &Run, n: usize) -> Markup {
    html! {
        section id=(format!("run{n}")) {
            h2 { (run.kind) " " span.muted { (time_of(&run.folder)) } }
            @if !run.counts.is_empty() {
                ul.counts { @for (name, value) in &run.counts { li { span.muted { (name.replace('_', " ")) } " " b { (value) } } } }
            }
            @for (m, life) in run.lives.iter().enumerate() { (life_card(life, &format!("r{n}-{m}"))) }
            @if !run.logs.is_empty() {
                h3 { "The machine's logs" }
                @for log in &run.logs { (log.render()) }
            }
        }
    }
}

fn life_card(life: &Life, id: &str) -> Markup {
    let suspends = suspends(life);
    let boot = life
        .events
        .iter()
        .find(|e| e.event.ev == "boot")
        .map(|e| &e.event);
    let word = |key: &str| boot.and_then(|b| b.text(key)).unwrap_or("?").to_owned();
    html! {
        article.card {
            h3 { (life.name)
                @if !life.part.is_empty() { ": " (life.part.replace('-', " ")) }
                @if let Some(boot) = boot {
                    " " span.muted { (word("arch")) " " (word("mode")) ", " (boot.num("max_vcpus").unwrap_or(0)) " vCPUs, "
                        (boot.num("mem_kib").unwrap_or(0) >> 10) " MiB, Xen " (word("xen")) }
                }
            }
            (cache_chart::figure(life, &suspends, &format!("{id}-c")))
            (suspend_figures(life, id))
            @if !life.migrations.is_empty() {
                div.grid { @for migration in &life.migrations { (pass_chart::figure(migration)) } }
            }
            (steps_table(&life.steps))
            @for log in &life.logs { (log.render()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{runs, sample};
    use super::*;

    #[test]
    fn a_made_up_run_becomes_a_page_that_fetches_nothing() {
        let dir = tempfile::tempdir().unwrap();
        sample::write(dir.path()).unwrap();
        let page = render(&runs::collect(dir.path()).unwrap()).into_string();
        for wanted in [
            "1/2",
            "sets drained, 0 left over",
            "xl vcpu-set 1",
            "A &amp; B",
            "&lt;1&gt;",
            "host/evil",
            "8\u{202f}192",
            "guest says",
            "&lt;img src=x&gt;",
        ] {
            assert!(page.contains(wanted), "{wanted} is missing");
        }
        for bad in [
            "<script>x",
            "<script>alert",
            "<img",
            "<b>bad",
            "src=\"",
            "http://",
            "https://",
            "url(http",
            "@import",
        ] {
            assert!(!page.contains(bad), "{bad} is there");
        }
        // Our own script and style are the only ones.
        assert_eq!(page.matches("<script").count(), 1);
        assert_eq!(page.matches("<style").count(), 1);
    }

    #[test]
    fn without_runs_it_says_what_to_do() {
        let page = render(&Found::default()).into_string();
        assert!(page.contains("cargo lab demo"));
    }
}
