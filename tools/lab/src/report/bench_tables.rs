//! Figures of the benchmarks.

use maud::{html, Markup};

use super::found::{time_of, Bench};
use super::line_chart;

/// Whether a cell is set to the right, as numbers are.
fn numeric(cell: &str) -> bool {
    cell.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '<' || c == '×')
}

/// All tables of one benchmark.
pub fn section(bench: &Bench) -> Markup {
    html! {
        article.card {
            h3 { (bench.title) " " span.muted { (time_of(&bench.folder)) } }
            @for note in &bench.notes { p.muted { (note) } }
            @if !bench.charts.is_empty() { div.grid { @for chart in &bench.charts { (line_chart::figure(chart)) } } }
            @for table in &bench.tables {
                @if !table.title.is_empty() { h4 { (table.title) } }
                div.scroll { table {
                    thead { tr { @for (n, heading) in table.columns.iter().enumerate() {
                        th.n[n > 0 && table.rows.iter().any(|row| row.get(n).is_some_and(|c| numeric(c)))] { (heading) }
                    } } }
                    tbody { @for row in &table.rows {
                        tr { @for (n, cell) in row.iter().enumerate() { td.n[n > 0 && numeric(cell)] { (cell) } } }
                    } }
                } }
                @for note in &table.notes { p.muted { (note) } }
            }
        }
    }
}
