//! The shared libraries of dom0's programs.

use std::collections::{BTreeSet, VecDeque};

use anyhow::{anyhow, Context, Result};

use crate::host::image::contents::{EXTRA_LIBRARIES, LIBRARY_FOLDERS};
use crate::host::image::root::Root;
use crate::host::image::tree::Tree;

/// Adds what these name, what those name, and so on.
///
/// # Errors
/// If Debian's packages hold one of them no longer.
pub fn add(root: &Root, tree: &mut Tree, mut libraries: VecDeque<String>) -> Result<()> {
    libraries.extend(EXTRA_LIBRARIES.iter().map(|&name| name.to_owned()));
    let mut seen = BTreeSet::new();
    while let Some(name) = libraries.pop_front() {
        if !seen.insert(name.clone()) {
            continue;
        }
        // Some are looked for by programs linked with a run path of Xen's own.
        let path = LIBRARY_FOLDERS
            .iter()
            .map(|folder| format!("{folder}/{name}"))
            .find(|path| root.resolve(path).is_some())
            .ok_or_else(|| anyhow!("Debian's packages hold no library {name}"))?;
        let bytes = root.get(&path)?;
        libraries.extend(needed(&path, bytes)?);
        // The dynamic linker is asked for at /lib64; every other library is found in
        // /lib/x86_64-linux-gnu.
        let folder = if name.starts_with("ld-linux") {
            "lib64"
        } else {
            "lib/x86_64-linux-gnu"
        };
        tree.file(&format!("{folder}/{name}"), 0o755, bytes);
    }
    Ok(())
}

/// The shared libraries an ELF file names.
pub fn needed(path: &str, bytes: &[u8]) -> Result<Vec<String>> {
    use object::read::elf::{Dyn, FileHeader, ProgramHeader};
    let context = || format!("{path} is not an ELF file this code can read");
    let header =
        object::elf::FileHeader64::<object::Endianness>::parse(bytes).with_context(context)?;
    let endian = header.endian().with_context(context)?;
    let mut names = Vec::new();
    let (mut strings, mut offsets) = (None, Vec::new());
    let segments = header
        .program_headers(endian, bytes)
        .with_context(context)?;
    for segment in segments {
        let Some(entries) = segment.dynamic(endian, bytes).with_context(context)? else {
            continue;
        };
        for entry in entries {
            match entry.d_tag(endian) {
                object::elf::DT_NEEDED => offsets.push(entry.d_val(endian)),
                object::elf::DT_STRTAB => strings = Some(entry.d_val(endian)),
                _ => {}
            }
        }
    }
    let Some(strings) = strings else {
        return Ok(names);
    };
    for offset in offsets {
        let name = segments
            .iter()
            .filter_map(|segment| {
                let data = segment.data(endian, bytes).ok()?;
                let at = (strings + offset).checked_sub(segment.p_vaddr(endian))?;
                data.get(usize::try_from(at).ok()?..)
            })
            .next()
            .and_then(|tail| tail.split(|&b| b == 0).next())
            .ok_or_else(|| anyhow!("{path}: a library's name is out of range"))?;
        names.push(String::from_utf8_lossy(name).into_owned());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_a_program_are_read() {
        let me = std::env::current_exe().unwrap();
        let names = needed("test", &std::fs::read(me).unwrap()).unwrap();
        assert!(
            names.iter().any(|name| name.starts_with("libc.so")),
            "{names:?}"
        );
    }
}
