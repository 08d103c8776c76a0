//! Pages sent in each pass of a live migration.

use maud::{html, Markup};

use super::passes::Migration;
use super::scale::{count, duration, Percent};

/// The figure of one migration.
pub fn figure(migration: &Migration) -> Markup {
    let most = migration
        .passes
        .iter()
        .map(|p| p.pages)
        .max()
        .unwrap_or(1)
        .max(1);
    // The first pass sends all of memory: on a common scale the others would not be seen.
    let later = migration
        .passes
        .iter()
        .skip(1)
        .map(|p| p.pages)
        .max()
        .unwrap_or(1)
        .max(1);
    let last = migration.passes.len().saturating_sub(1);
    html! {
        figure.passes {
            figcaption {
                strong { "Pages per pass" } " "
                span.muted { "round " (migration.round) ", " (migration.passes.len()) " passes, as they went through the stream; the guest is suspended in the last one" }
            }
            @if let Some(why) = &migration.lost { p.bad { "the stream was not read to its end: " (why) } }
            div.scroll { table.bars {
                thead { tr { th { "pass" } th.n { "pages" } th.n { "took" } th.wide { span.muted { "later passes to a scale of their own" } } } }
                tbody { @for (n, pass) in migration.passes.iter().enumerate() {
                    @let full = if n == 0 { most } else { later };
                    tr {
                        td { (n) @if n == last && n > 0 { " (suspended)" } @else if n == 0 { " (all memory)" } }
                        td.n { (count(pass.pages)) }
                        td.n { (duration(pass.ns as f64)) }
                        td.wide { svg height="14" aria-hidden="true" {
                            rect class=(if n == 0 { "pass first" } else if n == last { "pass final" } else { "pass" })
                                x="0" y="1" height="12" rx="2" width=(Percent((pass.pages as f64 / full as f64 * 100.0).max(0.4))) {}
                        } }
                    }
                } }
            } }
        }
    }
}
