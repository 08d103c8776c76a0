//! Parts of a guest's life that both its card and its test show.

use maud::{html, Markup};

use super::found::{Life, Step};
use super::scale::duration;
use super::suspend_chart;
use super::suspends::suspends;

/// All suspends of a guest.
pub fn suspend_figures(life: &Life, id: &str) -> Markup {
    let suspends = suspends(life);
    html! {
        @if !suspends.is_empty() {
            div.grid {
                @for (n, suspend) in suspends.iter().enumerate() {
                    @let during = life.acts.iter().rfind(|act| act.from <= suspend.at + 0.001).map(|act| act.what.as_str());
                    (suspend_chart::figure(suspend, during, &format!("{id}-s{n}")))
                }
            }
        }
    }
}

/// What was done and how it was judged.
pub fn steps_table(steps: &[Step]) -> Markup {
    html! {
        @if !steps.is_empty() {
            details.steps {
                @let bad = steps.iter().filter(|s| !s.findings.is_empty()).count();
                summary { "steps: " (steps.len() - bad) " held" @if bad > 0 { ", " span.bad { (bad) " did not" } } }
                div.scroll { table {
                    thead { tr { th { "step" } th { "result" } th.n { "time" } th { "sets drained per vCPU" } th { "what was checked" } } }
                    tbody { @for step in steps {
                        tr {
                            td.nowrap { (step.step) }
                            td { @if step.findings.is_empty() { span.chip.passed { "ok" } } @else { span.chip.failed { "failed" } } }
                            td.n { (duration(step.secs * 1e9)) }
                            td { (step.drained) }
                            td { @for finding in &step.findings { div.bad { (finding) } } (step.checked) }
                        }
                    } }
                } }
            }
        }
    }
}
