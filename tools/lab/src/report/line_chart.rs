//! A benchmark's lines over a few points, as bars: one for each line at each point.

use maud::{html, Markup};

use super::scale::Percent;
use crate::base::document::Chart;

/// A value with the digits that count.
fn value(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// The figure.
pub fn figure(chart: &Chart) -> Markup {
    let values = || chart.lines.iter().flat_map(|(_, values)| values).flatten();
    let most = values().copied().fold(0.0, f64::max);
    let width = |value: f64| Percent((value / most * 100.0).clamp(0.4, 100.0));
    html! {
        @if most > 0.0 {
            figure.passes {
                figcaption { strong { (chart.title) } " " span.muted { (chart.unit) ", by " (chart.along) } }
                div.scroll { table.bars {
                    thead { tr { th.n { (chart.along) } th {} th.n { (chart.unit) } th.wide {} } }
                    tbody { @for (n, point) in chart.points.iter().enumerate() { @for (m, (name, line)) in chart.lines.iter().enumerate() {
                        @if let Some(Some(at)) = line.get(n) { tr {
                            td.n { @if m == 0 { (point) } }
                            td.nowrap { (name) }
                            td.n { (value(*at)) }
                            td.wide { svg height="14" aria-hidden="true" {
                                rect class=(if m % 2 == 0 { "pass" } else { "pass final" }) x="0" y="1" height="12" rx="2" width=(width(*at)) {}
                            } }
                        } }
                    } } }
                } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_for_each_value_that_is_there() {
        let chart = Chart {
            title: "T <x>".into(),
            along: "sets".into(),
            points: vec!["0".into(), "64".into()],
            unit: "ms".into(),
            lines: vec![
                ("plain".into(), vec![Some(1.0), Some(200.0)]),
                ("early".into(), vec![None, Some(100.0)]),
            ],
        };
        let text = figure(&chart).into_string();
        assert_eq!(text.matches("<rect").count(), 3);
        assert!(text.contains("T &lt;x&gt;") && text.contains("width=\"50.000%\""));
        assert!(!figure(&Chart::default()).into_string().contains("figure"));
    }
}
