//! What a benchmark leaves in its run's folder, and the report reads: `bench.json`, and `bench.md` for
//! people.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::base::repo;

/// A table of figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Its caption.
    pub title: String,
    /// Headings.
    pub columns: Vec<String>,
    /// Rows of cells.
    pub rows: Vec<Vec<String>>,
    /// What a reader must know.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Values of several lines at the same few points.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// Its caption.
    pub title: String,
    /// What the points are, and their names.
    pub along: String,
    /// One name for each point.
    pub points: Vec<String>,
    /// Of the values.
    pub unit: String,
    /// Each with a name, and a value for each point where there is one.
    pub lines: Vec<(String, Vec<Option<f64>>)>,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Document {
    /// What was measured.
    pub title: String,
    /// On what, and how.
    pub notes: Vec<String>,
    /// Figures for people.
    pub tables: Vec<Table>,
    /// The same as pictures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub charts: Vec<Chart>,
    /// Figures for scripts: every sample, under names of the benchmark's own.
    #[serde(flatten)]
    pub data: Map<String, Value>,
}

impl Document {
    /// Writes `bench.json` and `bench.md` into the run's folder.
    ///
    /// # Errors
    /// If the disk is full, for one.
    pub fn write(&self, run: &Path) -> Result<()> {
        repo::write(&run.join("bench.json"), &serde_json::to_vec_pretty(self)?)?;
        repo::write(&run.join("bench.md"), self.markdown().as_bytes())
    }

    /// Title, notes and tables.
    pub fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n", self.title);
        for note in &self.notes {
            text.push_str(&format!("{note}\n\n"));
        }
        for table in &self.tables {
            text.push_str(&table.markdown());
            text.push('\n');
        }
        text
    }
}

impl Table {
    /// Headings from words.
    pub fn headings(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let cell = |text: &String| text.replace('|', "\\|");
        let line = |cells: &[String]| {
            format!(
                "| {} |\n",
                cells.iter().map(cell).collect::<Vec<_>>().join(" | ")
            )
        };
        let mut out = if self.title.is_empty() {
            String::new()
        } else {
            format!("### {}\n\n", self.title)
        };
        out.push_str(&line(&self.columns));
        out.push_str(&format!("|{}\n", "---|".repeat(self.columns.len())));
        for row in &self.rows {
            out.push_str(&line(row));
        }
        for note in &self.notes {
            out.push_str(&format!("\n{note}\n"));
        }
        out
    }

    /// The tables of a text in Markdown, each with the paragraph before it as its caption; what
    /// belongs to no table is the second part. Marks of emphasis are left out. Written for the
    /// pool's own figures, whose cells hold no `|`.
    pub fn from_markdown(text: &str) -> (Vec<Self>, Vec<String>) {
        let (mut tables, mut notes) = (Vec::<Self>::new(), Vec::new());
        let mut open = false;
        let plain = |text: &str| text.trim().replace("**", "").replace('`', "");
        for line in text.lines().map(str::trim) {
            let Some(cells) = line.strip_prefix('|') else {
                open = false;
                if !line.is_empty() {
                    notes.push(plain(line));
                }
                continue;
            };
            let cells: Vec<String> = cells.trim_end_matches('|').split('|').map(plain).collect();
            match tables.last_mut() {
                Some(table) if open => {
                    if !cells
                        .iter()
                        .all(|c| !c.is_empty() && c.chars().all(|c| c == '-'))
                    {
                        table.rows.push(cells);
                    }
                }
                _ => {
                    open = true;
                    let title = notes.pop().unwrap_or_default();
                    tables.push(Self {
                        title: title.trim_end_matches(':').to_owned(),
                        columns: cells,
                        ..Self::default()
                    });
                }
            }
        }
        (tables, notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_comes_back_as_tables() {
        let text = "Instructions: **25.0**.\n\nA drain (the shortest):\n\n| CPUs | ns |\n|---|---|\n| 1 | 2.5 |\n| 2 | - |\n\nAt the end.\n";
        let (tables, notes) = Table::from_markdown(text);
        assert_eq!(notes, ["Instructions: 25.0.", "At the end."]);
        assert_eq!(tables.len(), 1);
        assert_eq!(tables[0].title, "A drain (the shortest)");
        assert_eq!(tables[0].columns, ["CPUs", "ns"]);
        assert_eq!(tables[0].rows, [["1", "2.5"], ["2", "-"]]);
        let again = Table::from_markdown(&tables[0].markdown().replace("### ", ""));
        assert_eq!(again.0, tables);
    }

    #[test]
    fn a_document_has_everything_in_both_forms() {
        let document = Document {
            title: "T".into(),
            notes: vec!["on this".into()],
            tables: vec![Table {
                columns: Table::headings(&["a|b"]),
                rows: vec![vec!["1".into()]],
                ..Table::default()
            }],
            data: Map::from_iter([("points".to_owned(), Value::from(3))]),
            ..Document::default()
        };
        let text = document.markdown();
        assert!(
            text.starts_with("## T\n\non this\n\n| a\\|b |\n|---|\n| 1 |\n"),
            "{text}"
        );
        let json = serde_json::to_value(&document).unwrap();
        assert_eq!(json["points"], 3);
        assert_eq!(json["tables"][0]["rows"][0][0], "1");
        assert!(json.get("charts").is_none());
    }
}
