//! `cargo lab doctor`: what this host has, and what is missing.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::base::packages::{self, Package};
use crate::base::repo;
use crate::build::kernel;
use crate::host::detached::UpState;
use crate::host::image;
use crate::host::qemu;
use crate::host::xen_build::Xen;
use crate::report;

/// Looks, and changes nothing.
///
/// # Errors
/// None so far; for the callers' sake.
pub fn run(as_json: bool) -> Result<ExitCode> {
    let groups: [(&str, &[Package]); 6] = [
        ("boot the lab", packages::LAB),
        ("build the kernels", packages::KERNEL),
        ("judge the kernels' code", packages::KERNEL_CLIPPY),
        ("build Xen for 32-bit guests", packages::XEN_BUILD),
        ("check the bindings", packages::BINDINGS),
        ("look at the report in a browser", packages::REPORT),
    ];
    let mut missing = Vec::new();
    let mut rows = Vec::new();
    for (what, list) in groups {
        for package in list {
            let there = std::path::Path::new(package.file).exists();
            if !there && !missing.iter().any(|m: &Package| m.name == package.name) {
                missing.push(*package);
            }
            rows.push(vec![
                package.name.to_owned(),
                if there { "there" } else { "MISSING" }.to_owned(),
                what.to_owned(),
                package.why.to_owned(),
            ]);
        }
    }
    let (accel, why) = qemu::accel();
    let compiler = kernel::compiler().err().map(|e| format!("{e:#}"));
    let image = image::cached(Xen::default().release());
    let running: Vec<&str> = Xen::ALL
        .into_iter()
        .filter(|&xen| UpState::load(xen).is_some())
        .map(Xen::name)
        .collect();
    let line = format!("apt-get update && {}", packages::install_line(&missing));
    if as_json {
        println!(
            "{}",
            json!({
                "missing": missing.iter().map(|p| p.name).collect::<Vec<_>>(),
                "install": (!missing.is_empty()).then_some(&line),
                "accel": format!("{accel:?}").to_lowercase(), "accel_why": why,
                "compiler": compiler.as_deref().unwrap_or("ok"),
                "image": image.as_ref().map(|i| i.about.trim()),
                "running": running,
                "root": nix::unistd::geteuid().is_root(),
            })
        );
    } else {
        println!(
            "{}",
            report::table(&["package", "state", "needed to", "what for"], &rows)
        );
        println!("machine   {accel:?}: {why}");
        println!(
            "compiler  {}",
            compiler.as_deref().unwrap_or("the pinned one")
        );
        match &image {
            Some(image) => println!("image     {}", image.about.trim()),
            None => println!(
                "image     none yet; the first run builds it in {}",
                repo::shown(&repo::lab())
            ),
        }
        println!(
            "running   {}",
            if running.is_empty() {
                "no detached machine".to_owned()
            } else {
                running.join(", ")
            }
        );
        if !missing.is_empty() {
            println!("\nAs root:\n    {line}");
        }
    }
    Ok(if missing.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
