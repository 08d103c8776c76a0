//! The guest's table of vectors, in its code and in the page for people: they must say the same.

/// Each vector's number, name, and whether it is `lost` (or else borne, or handled), by the table
/// in `docs/exceptions.md`.
fn documented(page: &str) -> Vec<(u8, String, bool)> {
    let mut rows = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (first, last) = cells[1].split_once(" to ").unwrap_or((cells[1], cells[1]));
        if let (Ok(first), Ok(last)) = (first.parse::<u8>(), last.parse::<u8>()) {
            rows.extend((first..=last).map(|n| (n, cells[2].to_owned(), cells[3] == "lost")));
        }
    }
    rows
}

/// The same by the code's table; a page fault is lost, but for those that the page names.
fn coded(source: &str) -> Vec<(u8, String, bool)> {
    let table = source.split("const TABLE").nth(1).unwrap_or_default();
    let rows = table.lines().filter_map(|line| {
        let (name, rule) = line.trim().strip_prefix("(\"")?.split_once("\", ")?;
        Some((name.to_owned(), matches!(rule, "Lost)," | "PageFault),")))
    });
    let numbered =
        |(n, (name, lost)): (usize, (String, bool))| Some((u8::try_from(n).ok()?, name, lost));
    rows.enumerate().filter_map(numbered).collect()
}

#[test]
fn the_page_says_what_the_code_does() {
    let page = documented(include_str!("../../../../docs/exceptions.md"));
    let code = coded(include_str!("../../../../guest-kernel/src/arch/vectors.rs"));
    assert_eq!(code.len(), 32, "{code:?}");
    assert_eq!(page.len(), 32 + 1 + 1 + 223, "a vector has no row");
    for row in &code {
        assert!(page.contains(row), "{row:?}");
    }
}
