//! `host/layers`: the files of the guest kernel and of the lab take only from layers below their
//! own, and no files of a crate take from each other in a circle.
//!
//! The layers are tables in `ARCHITECTURE.md`, which are there for people.

mod imports;

use std::fs;
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};
use petgraph::graphmap::DiGraphMap;

use self::imports::Imports;
use crate::base::outcome::Outcome;
use crate::base::repo;

/// A crate in layers.
struct Layered {
    /// Its root.
    file: &'static str,
    /// What stands above its table.
    heading: &'static str,
    /// A file may use the private parts of its parent module, which it is a part of.
    uses_parents: bool,
}

const LAYERED: [Layered; 2] = [
    Layered {
        file: "guest-kernel/src/main.rs",
        heading: "### Layers of the guest kernel",
        uses_parents: false,
    },
    Layered {
        file: "tools/lab/src/main.rs",
        heading: "### Layers of the lab",
        uses_parents: true,
    },
];

/// Crates in which no files take from each other in a circle. In these a file may use the private
/// parts of its parent module, which it is a part of.
const LIBRARIES: [&str; 8] = [
    "migration/c/src/lib.rs",
    "migration/src/lib.rs",
    "migration/kernel-glue/src/lib.rs",
    "migration/frontends/src/lib.rs",
    "xen-bindings/src/lib.rs",
    "pagetable-pool/src/lib.rs",
    "tools/savelint/src/lib.rs",
    "tools/page-types/src/lib.rs",
];

/// Reads the imports of all of them.
///
/// # Errors
/// A file that cannot be read, or a table that is none.
pub fn check() -> Result<Outcome> {
    let root = repo::root();
    let document = fs::read_to_string(root.join("ARCHITECTURE.md"))?;
    let (mut wrong, mut files, mut rows) = (Vec::new(), 0, 0);
    for layered in &LAYERED {
        let layers = Layers::read(&document, layered.heading)?;
        let imports = of_crate(&root, layered.file)?;
        let counts = |file: &str, from: &str| !layered.uses_parents || !is_parent(from, file);
        let mut there = layers.judge(&imports);
        there.extend(circles(&imports, counts));
        wrong.extend(there.iter().map(|one| format!("{}: {one}", layered.file)));
        files += imports.files.len();
        rows += layers.0.len();
    }
    for library in LIBRARIES {
        let imports = of_crate(&root, library)?;
        files += imports.files.len();
        let there = circles(&imports, |file, from| !is_parent(from, file)).into_iter();
        wrong.extend(there.map(|circle| format!("{library}: {circle}")));
    }
    Ok(if wrong.is_empty() {
        Outcome::Passed(format!(
            "{files} files, {rows} layers: no arrow up, no circle"
        ))
    } else {
        Outcome::Failed(wrong.join("\n"))
    })
}

fn of_crate(root: &Path, file: &str) -> Result<Imports> {
    let path = root.join(file);
    let folder = path.parent().context("a crate's root is in a folder")?;
    let name = path.file_name().and_then(|name| name.to_str());
    let source = |file: &str| fs::read_to_string(folder.join(file)).ok();
    imports::read(name.context("a crate's root is a file")?, &source)
        .with_context(|| format!("the crate of {file}"))
}

/// The layers, the lowest first; each is some folders, and files without their `.rs`.
#[derive(Debug, PartialEq, Eq)]
struct Layers(Vec<Vec<String>>);

impl Layers {
    /// Reads the table: the first column names folders and files in backquotes, the top layer
    /// first.
    fn read(document: &str, heading: &str) -> Result<Layers> {
        let (_, after) = document
            .split_once(heading)
            .with_context(|| format!("there is no heading `{heading}`"))?;
        let rows = after
            .lines()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'))
            .skip(2);
        let mut layers: Vec<Vec<String>> = rows
            .map(|row| {
                let cell = row.split('|').nth(1).unwrap_or_default();
                let quoted = cell.split('`').skip(1).step_by(2);
                quoted
                    .map(|name| name.trim_end_matches('/').to_string())
                    .collect()
            })
            .collect();
        ensure!(!layers.is_empty(), "no table follows `{heading}`");
        if layers.iter().any(Vec::is_empty) {
            bail!("a row of the table under `{heading}` names no folder and no file");
        }
        layers.reverse();
        Ok(Layers(layers))
    }

    /// The layer of a file, 0 for the lowest.
    fn of(&self, file: &str) -> Option<usize> {
        let top = file.split('/').next().unwrap_or(file);
        let name = top.trim_end_matches(".rs");
        self.0
            .iter()
            .position(|layer| layer.iter().any(|one| one == name))
    }

    fn judge(&self, imports: &Imports) -> Vec<String> {
        let mut wrong = Vec::new();
        for file in imports.files.iter().filter(|file| self.of(file).is_none()) {
            wrong.push(format!("{file} is in no layer of ARCHITECTURE.md"));
        }
        for name in self.0.iter().flatten() {
            if !imports.files.iter().any(|file| {
                file.strip_prefix(name.as_str())
                    .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            }) {
                wrong.push(format!(
                    "ARCHITECTURE.md has a layer `{name}`, which is no file"
                ));
            }
        }
        for ((file, from), path) in &imports.arrows {
            if let (Some(own), Some(theirs)) = (self.of(file), self.of(from)) {
                if theirs > own {
                    let (above, below) = (self.0[theirs].join(", "), self.0[own].join(", "));
                    wrong.push(format!(
                        "{file} uses {path} of {from}: the layer {above} is above {below}"
                    ));
                }
            }
        }
        wrong
    }
}

/// Is `above` the file of the module whose children are in the folder of `file`?
fn is_parent(above: &str, file: &str) -> bool {
    file.rsplit_once('/').is_some_and(|(folder, _)| {
        above == format!("{folder}.rs") || above == format!("{folder}/mod.rs")
    })
}

/// Files that take from each other in a circle of arrows that count.
fn circles(imports: &Imports, counts: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let arrows = imports
        .arrows
        .keys()
        .filter(|(file, from)| counts(file, from));
    let graph: DiGraphMap<&str, ()> = arrows
        .map(|(file, from)| (file.as_str(), from.as_str()))
        .collect();
    let groups = petgraph::algo::tarjan_scc(&graph).into_iter();
    groups
        .filter(|group| group.len() > 1)
        .map(|group| {
            let inside = imports.arrows.iter().filter(|((file, from), _)| {
                group.contains(&file.as_str()) && group.contains(&from.as_str())
            });
            let arrows: Vec<String> = inside
                .map(|((file, from), path)| format!("  {file} -> {from}: {path}"))
                .collect();
            format!("a circle of {} files:\n{}", group.len(), arrows.join("\n"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "### Layers of the guest kernel";
    const TABLE: &str = "text\n\n### Layers of the guest kernel\nWords.\n\n| layer | what |\n|---|---|\n\
        | `main`, `start` | the top |\n| `control/` | duties |\n| `low/` | `not/a/layer` |\n\n| `other` |\n";

    fn imports(files: &[(&str, &str)]) -> Imports {
        let source = |wanted: &str| {
            let found = files.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, text)| text.to_string())
        };
        imports::read(files[0].0, &source).unwrap()
    }

    fn arrows(files: &[(&str, &str)]) -> Vec<String> {
        let arrows = imports(files).arrows;
        arrows
            .into_keys()
            .map(|(a, b)| format!("{a} -> {b}"))
            .collect()
    }

    #[test]
    fn the_table_is_read_from_the_bottom_up() {
        let layers = Layers::read(TABLE, HEADING).unwrap();
        let names: Vec<_> = layers.0.iter().map(|layer| layer.join(" ")).collect();
        assert_eq!(names, ["low", "control", "main start"]);
        assert!(Layers::read("no such heading", HEADING).is_err());
        assert!(Layers::read(HEADING, HEADING).is_err());
    }

    #[test]
    fn an_arrow_up_is_wrong_and_one_down_is_not() {
        let layers = Layers::read(TABLE, HEADING).unwrap();
        let mut files = vec![
            ("main.rs", "mod start; mod control; mod low;"),
            ("start.rs", "use crate::control::go;"),
            ("control/mod.rs", "pub fn go() { crate::low::down() }"),
            ("low/mod.rs", "pub fn down() {}"),
        ];
        assert_eq!(layers.judge(&imports(&files)), [""; 0]);
        files[3].1 = "pub fn down() { crate::control::go() }";
        let wrong = layers.judge(&imports(&files));
        assert_eq!(
            wrong,
            ["low/mod.rs uses crate::control::go of control/mod.rs: \
              the layer control is above low"]
        );
    }

    #[test]
    fn a_file_in_no_layer_and_a_layer_without_a_file_are_wrong() {
        let layers = Layers::read(TABLE, HEADING).unwrap();
        let wrong = layers.judge(&imports(&[
            ("main.rs", "mod start; mod control; mod stray;"),
            ("start.rs", ""),
            ("control.rs", ""),
            ("stray.rs", ""),
        ]));
        assert_eq!(
            wrong,
            [
                "stray.rs is in no layer of ARCHITECTURE.md",
                "ARCHITECTURE.md has a layer `low`, which is no file"
            ]
        );
    }

    #[test]
    fn a_circle_is_wrong() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use super::b::B; pub struct A;"),
            ("b.rs", "use crate::c::C; pub struct B;"),
            ("c.rs", "pub struct C(crate::a::A);"),
        ];
        assert_eq!(
            circles(&imports(&files[..]), |_, _| true)[0]
                .lines()
                .count(),
            4
        );
        let mut files = files;
        files[3].1 = "pub struct C;";
        assert_eq!(circles(&imports(&files[..]), |_, _| true), [""; 0]);
    }

    #[test]
    fn a_child_is_a_part_of_its_parent() {
        assert!(is_parent("pool/mod.rs", "pool/drain.rs"));
        assert!(is_parent("a/pool.rs", "a/pool/drain.rs"));
        assert!(!is_parent("pool.rs", "gate.rs"));
        assert!(!is_parent("pool/drain.rs", "pool/mod.rs"));
    }

    #[test]
    fn every_way_to_write_a_path_is_an_arrow() {
        let crates = |text| {
            arrows(&[
                ("lib.rs", "mod a; mod b;"),
                ("a/mod.rs", "mod x; mod y;"),
                ("a/x.rs", text),
                ("a/y.rs", "pub struct Y; pub fn y() {}"),
                ("b.rs", "pub mod c { pub fn d() {} } pub struct B;"),
            ])
        };
        for text in [
            "use crate::{a::{y::{self, Y}}};",
            "use super::y::Y as Z;",
            "use super::y; fn f() { y::y() }",
            "fn f() { super::y::y() }",
            "fn f(_: &crate::a::y::Y) {}",
            "fn f() { assert!(true, \"{}\", crate::a::y::y()); }",
            "m! { struct S { f: (crate::a::y::Y, u8) } }",
            "fn f() { use super::*; y::y() }",
            "mod inner { fn f() { super::super::y::y() } }",
        ] {
            assert!(
                crates(text).contains(&"a/x.rs -> a/y.rs".to_string()),
                "{text}"
            );
        }
        assert_eq!(crates("use crate::b::c::d;"), ["a/x.rs -> b.rs"]);
        for text in [
            "use std::fmt; fn f(y: u32) { let b = y; fmt::y(b); ::a::y(); }",
            "#[cfg(test)] mod tests { use crate::b::B; }",
            "m! { /// Not [`B`](crate::b::B)\n struct S; } fn f() { m!(\"crate::b::B\") }",
            "mod own { pub fn f() {} } fn f() { own::f(); self::own::f() }",
        ] {
            assert_eq!(crates(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_name_that_is_shown_leads_to_where_it_stands() {
        let files = |face| {
            arrows(&[
                ("lib.rs", "mod a; mod b;"),
                ("a/mod.rs", face),
                ("a/x.rs", "pub struct X;"),
                ("b.rs", "use crate::a::X;"),
            ])
        };
        assert_eq!(files("mod x; pub use x::X;"), ["b.rs -> a/x.rs"]);
        assert_eq!(files("mod x; pub use x::*;"), ["b.rs -> a/x.rs"]);
        assert_eq!(
            files("mod x; pub use x::X; fn f(_: X) {}"),
            ["a/mod.rs -> a/x.rs", "b.rs -> a/x.rs"]
        );
        // A face shows what stands below it; from elsewhere it takes.
        assert_eq!(
            files("mod x; pub use crate::b::B; pub use x::X;"),
            ["a/mod.rs -> b.rs", "b.rs -> a/x.rs"]
        );
    }
}
