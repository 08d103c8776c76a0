//! The tests: one line each, what they said one click away.

use maud::{html, Markup};

use super::found::{time_of, Test};
use super::life_parts::{steps_table, suspend_figures};
use super::scale::duration;

/// How many passed, failed and were skipped.
pub fn counts(tests: &[Test]) -> [(usize, &'static str); 3] {
    ["passed", "failed", "skipped"]
        .map(|word| (tests.iter().filter(|t| t.result == word).count(), word))
}

/// Failed ones first, then by name.
fn sorted(tests: &[Test]) -> Vec<&Test> {
    let mut sorted: Vec<&Test> = tests.iter().collect();
    let rank = |test: &Test| match test.result.as_str() {
        "failed" => 0,
        "skipped" => 1,
        _ => 2,
    };
    sorted.sort_by(|a, b| (rank(a), &a.name).cmp(&(rank(b), &b.name)));
    sorted
}

/// The list.
pub fn section(tests: &[Test]) -> Markup {
    let newest = tests.iter().map(|t| t.folder.as_str()).max().unwrap_or("");
    let older = tests.iter().filter(|t| t.folder != newest).count();
    html! {
        p.muted {
            "Each test's newest result. The newest run is of " (time_of(newest))
            @if older > 0 { "; " (older) " of these results are older and say so" } "."
        }
        div.tests {
            @for (n, test) in sorted(tests).into_iter().enumerate() {
                details.test {
                    summary {
                        span class={ "chip " (test.result) } { (test.result) }
                        span.name { (test.name) }
                        span.muted.secs { (duration(test.secs * 1e9)) }
                    }
                    div.inside {
                        @if !test.why.is_empty() { p.why { (test.why) } }
                        @if test.folder != newest { p.muted { "from the run of " (time_of(&test.folder)) } }
                        @for (m, life) in test.lives.iter().enumerate() {
                            (steps_table(&life.steps))
                            (suspend_figures(life, &format!("t{n}-{m}")))
                            @for log in &life.logs { (log.render()) }
                        }
                        @for log in &test.logs { (log.render()) }
                        @if test.lives.is_empty() && test.logs.is_empty() { p.muted { "It left no log." } }
                    }
                }
            }
        }
    }
}
