//! What each file of a crate takes from its other files, as its source says it: `use`, and paths in
//! expressions, types, patterns and the arguments of macros.
//!
//! A path is followed to the file of the module in which the named item stands, through re-exports.
//! `mod x;` is no import: it says where a file is, not that its content is needed. Nor is `pub use`
//! of what stands below, the face of a folder, unless the name is used there too. What only tests use
//! (`#[cfg(test)]`) is left out; any other `cfg` counts as being there.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::UseTree;

/// A path of a crate's own: the modules from its root on.
type ModulePath = Vec<String>;

/// Which file takes what from which.
#[derive(Debug, Default)]
pub struct Imports {
    /// All files, as paths from the folder of the crate's root.
    pub files: BTreeSet<String>,
    /// The file that takes, the one it takes from, and the first path that says so.
    pub arrows: BTreeMap<(String, String), String>,
}

/// Reads the files of a crate, from its root on. `source` gives the text of a file that exists.
///
/// # Errors
/// A file that is no Rust, or a `mod` without a file.
pub fn read(root: &str, source: &dyn Fn(&str) -> Option<String>) -> Result<Imports> {
    let mut house = House::default();
    house.read_file(root, &Vec::new(), source)?;
    let mut imports = Imports::default();
    for module in house.modules.values() {
        imports.files.insert(module.file.clone());
    }
    for (place, module) in &house.modules {
        let used = module
            .shown
            .iter()
            .filter(|name| module.alone.contains(*name));
        let used = used.filter_map(|name| module.names.get(name));
        let shown = module
            .shown
            .iter()
            .filter_map(|name| module.names.get(name));
        let shown = shown.filter(|path| !house.is_below(place, path));
        for path in module.paths.iter().chain(used).chain(shown) {
            let Some(target) = house.resolve(place, path, MOST_STEPS) else {
                continue;
            };
            let from = &house.modules[&target].file;
            if *from != module.file {
                let arrow = (module.file.clone(), from.clone());
                imports
                    .arrows
                    .entry(arrow)
                    .or_insert_with(|| path.join("::"));
            }
        }
    }
    Ok(imports)
}

/// Re-exports followed for one path; more are a circle of them.
const MOST_STEPS: u32 = 16;

#[derive(Debug, Default)]
struct Module {
    file: String,
    /// Items that stand here, other than modules.
    items: BTreeSet<String>,
    /// What `use` binds here, and to what.
    names: BTreeMap<String, Vec<String>>,
    /// What `use a::*` takes all names of.
    globs: Vec<Vec<String>>,
    /// Those of the names that this module shows to others.
    shown: BTreeSet<String>,
    /// Every path of more than one name that is written here, or that a `use` names.
    paths: BTreeSet<Vec<String>>,
    /// Names that stand alone: local ones, or bound by a `use`.
    alone: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct House {
    modules: BTreeMap<ModulePath, Module>,
}

impl House {
    fn read_file(
        &mut self,
        file: &str,
        place: &ModulePath,
        source: &dyn Fn(&str) -> Option<String>,
    ) -> Result<()> {
        let text = source(file).with_context(|| format!("there is no file {file}"))?;
        let parsed = syn::parse_file(&text).with_context(|| format!("{file} cannot be parsed"))?;
        self.read_module(file, place, &parsed.items, source)
    }

    fn read_module(
        &mut self,
        file: &str,
        place: &ModulePath,
        items: &[syn::Item],
        source: &dyn Fn(&str) -> Option<String>,
    ) -> Result<()> {
        let mut module = Module {
            file: file.to_string(),
            ..Module::default()
        };
        for item in items.iter().filter(|item| !is_for_tests(attributes(item))) {
            module.items.extend(name(item));
            let syn::Item::Mod(inner) = item else {
                module.visit_item(item);
                continue;
            };
            let mut below = place.clone();
            below.push(inner.ident.unraw().to_string());
            match &inner.content {
                Some((_, items)) => self.read_module(file, &below, items, source)?,
                None => self.read_file(&find(file, &below, source)?, &below, source)?,
            }
        }
        self.modules.insert(place.clone(), module);
        Ok(())
    }

    /// The module in which what `path` names stands, as seen from module `place`; none if it is no
    /// part of this crate, or only a name inside a function.
    fn resolve(&self, place: &ModulePath, path: &[String], steps: u32) -> Option<ModulePath> {
        let steps = steps.checked_sub(1)?;
        let (first, rest) = path.split_first()?;
        let mut at = place.clone();
        let mut rest = rest;
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                at.pop();
                while rest.first().is_some_and(|next| next == "super") {
                    at.pop();
                    rest = &rest[1..];
                }
            }
            // A name of this module's: a child, or what a `use` binds.
            _ => return self.descend(at, path, steps),
        }
        if rest.is_empty() {
            return Some(at);
        }
        self.descend(at.clone(), rest, steps).or(Some(at))
    }

    /// Does what `path` names stand in a module below `place`?
    fn is_below(&self, place: &ModulePath, path: &[String]) -> bool {
        self.resolve(place, path, MOST_STEPS)
            .is_some_and(|target| target != *place && target.starts_with(place))
    }

    /// From module `at` on along `path`; none if that does not know the first of its names.
    fn descend(&self, at: ModulePath, path: &[String], steps: u32) -> Option<ModulePath> {
        let steps = steps.checked_sub(1)?;
        let Some((first, rest)) = path.split_first() else {
            return Some(at);
        };
        let module = self.modules.get(&at)?;
        let mut child = at.clone();
        child.push(first.clone());
        if self.modules.contains_key(&child) {
            return self.descend(child.clone(), rest, steps).or(Some(child));
        }
        if module.items.contains(first) {
            return Some(at);
        }
        if let Some(bound) = module.names.get(first) {
            // `use a::b;` may bind a name that is a crate's: then it is not found, and not ours.
            if bound.first() == Some(first) && bound.len() == 1 {
                return None;
            }
            let whole: Vec<String> = bound.iter().chain(rest).cloned().collect();
            return self.resolve(&at, &whole, steps);
        }
        module.globs.iter().find_map(|glob| {
            let from = self.resolve(&at, glob, steps)?;
            (from != at)
                .then(|| self.descend(from, path, steps))
                .flatten()
        })
    }
}

/// The file of module `place`, which the file of the module above it declares.
fn find(
    above: &str,
    place: &ModulePath,
    source: &dyn Fn(&str) -> Option<String>,
) -> Result<String> {
    let name = place.last().context("the root is no one's module")?;
    let (folder, stem) = above.rsplit_once('/').unwrap_or(("", above));
    let stem = stem.trim_end_matches(".rs");
    let mut below = String::new();
    if !folder.is_empty() {
        below = format!("{folder}/");
    }
    if !matches!(stem, "mod" | "lib" | "main") {
        below = format!("{below}{stem}/");
    }
    [format!("{below}{name}.rs"), format!("{below}{name}/mod.rs")]
        .into_iter()
        .find(|file| source(file).is_some())
        .with_context(|| format!("{above}: module {name} has no file"))
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let shown = !matches!(item.vis, syn::Visibility::Inherited);
        self.take_use(&item.tree, shown, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.take_path(names(path));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invoked: &'ast syn::Macro) {
        visit::visit_macro(self, invoked);
        self.take_tokens(invoked.tokens.clone());
    }

    // A function or a block may be for tests alone.
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }
}

impl Module {
    fn take_use(&mut self, tree: &UseTree, shown: bool, before: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.unraw().to_string());
                self.take_use(&path.tree, shown, before);
                before.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.take_use(tree, shown, before);
                }
            }
            UseTree::Glob(_) => {
                self.globs.push(before.clone());
                if !shown {
                    self.paths.insert(before.clone());
                }
            }
            UseTree::Name(name) => self.bind(&name.ident, &name.ident, shown, before),
            UseTree::Rename(rename) => self.bind(&rename.ident, &rename.rename, shown, before),
        }
    }

    fn bind(&mut self, name: &syn::Ident, bound_as: &syn::Ident, shown: bool, before: &[String]) {
        let mut path = before.to_vec();
        // `use a::{self}` names a.
        if name != "self" {
            path.push(name.unraw().to_string());
        }
        let bound_as = if bound_as == "self" {
            path.last().cloned().unwrap_or_default()
        } else {
            bound_as.unraw().to_string()
        };
        if shown {
            self.shown.insert(bound_as.clone());
        } else {
            self.paths.insert(path.clone());
        }
        self.names.insert(bound_as, path);
    }

    /// The paths in the arguments of a macro, which are no syntax yet.
    fn take_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(word) => {
                    if colons != 2 {
                        self.take_path(std::mem::take(&mut path));
                    }
                    path.push(word.unraw().to_string());
                }
                TokenTree::Group(group) => {
                    self.take_path(std::mem::take(&mut path));
                    self.take_tokens(group.stream());
                }
                _ => self.take_path(std::mem::take(&mut path)),
            }
            colons = 0;
        }
        self.take_path(path);
    }

    fn take_path(&mut self, mut path: Vec<String>) {
        if path.len() > 1 {
            self.paths.insert(path);
        } else if let Some(name) = path.pop() {
            self.alone.insert(name);
        }
    }
}

fn names(path: &syn::Path) -> Vec<String> {
    path.segments
        .iter()
        .map(|segment| segment.ident.unraw().to_string())
        .collect()
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|only| only.is_ident("test"))
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    use syn::Item::{Const, Enum, ExternCrate, Fn, ForeignMod, Impl, Macro, Mod, Static, Struct};
    use syn::Item::{Trait, TraitAlias, Type, Union, Use};
    match item {
        Const(it) => &it.attrs,
        Enum(it) => &it.attrs,
        ExternCrate(it) => &it.attrs,
        Fn(it) => &it.attrs,
        ForeignMod(it) => &it.attrs,
        Impl(it) => &it.attrs,
        Macro(it) => &it.attrs,
        Mod(it) => &it.attrs,
        Static(it) => &it.attrs,
        Struct(it) => &it.attrs,
        Trait(it) => &it.attrs,
        TraitAlias(it) => &it.attrs,
        Type(it) => &it.attrs,
        Union(it) => &it.attrs,
        Use(it) => &it.attrs,
        _ => &[],
    }
}

fn name(item: &syn::Item) -> Option<String> {
    let ident = match item {
        syn::Item::Const(it) => &it.ident,
        syn::Item::Enum(it) => &it.ident,
        syn::Item::Fn(it) => &it.sig.ident,
        syn::Item::Macro(it) => it.ident.as_ref()?,
        syn::Item::Static(it) => &it.ident,
        syn::Item::Struct(it) => &it.ident,
        syn::Item::Trait(it) => &it.ident,
        syn::Item::Type(it) => &it.ident,
        syn::Item::Union(it) => &it.ident,
        _ => return None,
    };
    Some(ident.unraw().to_string())
}
