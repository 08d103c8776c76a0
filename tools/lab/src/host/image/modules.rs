//! dom0's kernel modules.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{anyhow, bail, Context, Result};
use object::{Object, ObjectSection};

use crate::host::image::contents::{MODULES, MODULES_FOR_DEVICES};
use crate::host::image::root::Root;
use crate::host::image::unpack::unxz;

/// A module's name and bytes.
type Module = (String, Vec<u8>);

/// dom0's modules and those they depend on, in an order in which they can be loaded; and those that
/// guests with devices need besides.
pub fn modules(root: &Root, release: &str) -> Result<(Vec<Module>, Vec<Module>)> {
    let folder = format!("lib/modules/{release}/");
    let by_name: BTreeMap<String, &str> = root
        .files
        .keys()
        .filter(|path| path.trim_start_matches("usr/").starts_with(&folder))
        .filter_map(|path| {
            let name = path.rsplit('/').next()?;
            let name = name.strip_suffix(".ko.xz").or(name.strip_suffix(".ko"))?;
            Some((name.replace('-', "_"), path.as_str()))
        })
        .collect();
    // What one release builds as a module, the next has built in.
    let built_in = root.get(&format!("{folder}modules.builtin"))?;
    let built_in = String::from_utf8_lossy(built_in).into_owned();
    let built_in: BTreeSet<String> = built_in
        .lines()
        .filter_map(|path| path.rsplit('/').next()?.strip_suffix(".ko"))
        .map(|name| name.replace('-', "_"))
        .collect();
    let mut order = Vec::new();
    let mut add = |names: &[&str]| {
        for name in names.iter().map(|name| name.replace('-', "_")) {
            if !built_in.contains(&name) {
                add_module(root, &by_name, &name, &mut order, 0)?;
            }
        }
        anyhow::Ok(order.len())
    };
    let always = add(MODULES)?;
    add(MODULES_FOR_DEVICES)?;
    let for_devices = order.split_off(always);
    Ok((order, for_devices))
}

fn add_module(
    root: &Root,
    by_name: &BTreeMap<String, &str>,
    name: &str,
    order: &mut Vec<Module>,
    depth: u32,
) -> Result<()> {
    if order.iter().any(|(have, _)| have == name) {
        return Ok(());
    }
    if depth > 20 {
        bail!("kernel modules depend on each other in a circle, at {name}");
    }
    let path = by_name
        .get(name)
        .ok_or_else(|| anyhow!("Debian's kernel has no module {name}"))?;
    let mut bytes = root.get(path)?.to_vec();
    if path.ends_with(".xz") {
        bytes = unxz(&bytes)?;
    }
    let file = object::File::parse(&*bytes).with_context(|| format!("{path} is not a module"))?;
    let info = file
        .section_by_name(".modinfo")
        .ok_or_else(|| anyhow!("{path} has no .modinfo"))?
        .data()?
        .to_vec();
    let depends = info
        .split(|&b| b == 0)
        .find_map(|field| field.strip_prefix(b"depends="))
        .unwrap_or_default();
    for other in String::from_utf8_lossy(depends)
        .split(',')
        .filter(|s| !s.is_empty())
    {
        add_module(root, by_name, &other.replace('-', "_"), order, depth + 1)?;
    }
    order.push((name.to_owned(), bytes));
    Ok(())
}
