//! Tables for people.

use crate::base::progress;
use crate::life::Step;
use std::time::Duration;

/// Rows under headings, each column as wide as it must be.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .chain([headings[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            text.push_str(cell);
            let pad = width.saturating_sub(cell.chars().count()) + 2;
            text.extend(std::iter::repeat_n(' ', pad));
        }
        format!("{}\n", text.trim_end())
    };
    let mut out = line(headings.to_vec());
    let rule: Vec<String> = widths.iter().map(|w| "-".repeat(*w)).collect();
    out.push_str(&line(rule.iter().map(String::as_str).collect()));
    for row in rows {
        out.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    out
}

/// The demo's table: one row per step.
pub fn steps(guests: &[(String, Vec<Step>)]) -> String {
    let mut rows = Vec::new();
    for (guest, steps) in guests {
        for step in steps {
            rows.push(vec![
                guest.clone(),
                step.step.clone(),
                if step.ok() { "ok" } else { "FAILED" }.to_owned(),
                progress::seconds(Duration::from_secs_f64(step.secs)),
                step.drained.clone(),
                if step.ok() {
                    step.checked.clone()
                } else {
                    step.findings[0].clone()
                },
            ]);
        }
    }
    table(
        &[
            "guest",
            "step",
            "result",
            "time",
            "sets drained per CPU",
            "what was checked",
        ],
        &rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let text = table(&["a", "long"], &[vec!["xyz".into(), "b".into()]]);
        assert_eq!(text, "a    long\n---  ----\nxyz  b\n");
    }
}
