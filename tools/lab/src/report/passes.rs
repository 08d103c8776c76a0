//! The passes of a live migration, as [`labprobe passes`](../../probe/stream.rs) wrote them down.

/// A pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Pass {
    /// Pages sent.
    pub pages: u64,
    /// Nanoseconds from its first page to its last.
    pub ns: u64,
}

/// The passes of one migration; the last one is sent while the guest is suspended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Migration {
    /// The guest's round, if the file says it.
    pub round: u64,
    /// Its passes.
    pub passes: Vec<Pass>,
    /// Why the stream could not be read to its end.
    pub lost: Option<String>,
}

/// Reads a file of several migrations, each begun by a line `round N`.
pub fn parse(text: &str) -> Vec<Migration> {
    let mut all: Vec<Migration> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let number = |at: usize| words.get(at).and_then(|w| w.parse::<u64>().ok());
        match words[0] {
            "round" => all.push(Migration {
                round: number(1).unwrap_or(0),
                ..Migration::default()
            }),
            "pass" => {
                if let (Some(last), Some(pages), Some(from), Some(to)) =
                    (all.last_mut(), number(1), number(2), number(3))
                {
                    let ns = to.saturating_sub(from);
                    last.passes.push(Pass { pages, ns });
                }
            }
            "lost" => {
                if let Some(last) = all.last_mut() {
                    last.lost = Some(words[1..].join(" "));
                }
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_told_apart() {
        let all = parse(
            "pass 1 2 3\nround 4\npass 8192 100 300\npass 12 400 405\nround 5\nlost a b\npass x\n",
        );
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].round, 4);
        assert_eq!(
            all[0].passes,
            [
                Pass {
                    pages: 8192,
                    ns: 200
                },
                Pass { pages: 12, ns: 5 }
            ]
        );
        assert_eq!(all[1].lost.as_deref(), Some("a b"));
        assert!(all[1].passes.is_empty());
    }
}
