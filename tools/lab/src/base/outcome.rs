//! What comes of a test.

use serde::Serialize;

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "result", content = "why")]
pub enum Outcome {
    /// As it should; a word on what was seen.
    Passed(String),
    /// The reason.
    Failed(String),
    /// The reason.
    Skipped(String),
}
