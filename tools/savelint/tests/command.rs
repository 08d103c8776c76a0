//! The program as a person and a script meet it.

#[path = "../src/sample.rs"]
#[allow(dead_code)]
mod sample;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use sample::*;

/// A good image of a PVH domain, and one that no Xen restores.
fn images() -> [Vec<u8>; 2] {
    let image = |records: &[Record]| xl(HVM_CONFIG, &libxl(&libxc(3, false, records)));
    let good = hvm();
    let mut bad = good.clone();
    bad.retain(|record| record.kind != 9);
    [image(&good), image(&bad)]
}

fn run(args: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_savelint"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let bytes = stdin.to_vec();
    // One that ends early closes its standard input.
    let writer = std::thread::spawn(move || drop(input.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// A path of this test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        Self(folder.join(format!("{name}-{}", std::process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn exit_statuses_and_where_the_report_goes() {
    let [good, bad] = images();
    let file = Scratch::new("image");
    std::fs::write(&file.0, &good).unwrap();
    for (output, status, words) in [
        (run(&[file.path()], b""), 0, "CAN BE RESTORED by Xen 4.17"),
        (run(&["-"], &good), 0, "CAN BE RESTORED"),
        (run(&["-"], &bad), 1, "CANNOT BE RESTORED"),
        (run(&["--json", "-"], &bad), 1, "\"result\":\"fails\""),
        (run(&["--for-xen", "4.20", "-"], &good), 0, "by Xen 4.20"),
    ] {
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        assert!(String::from_utf8(output.stdout).unwrap().contains(words));
        assert!(output.stderr.is_empty());
    }
    for (output, words) in [
        (run(&["/nonexistent"], b""), "No such file"),
        (run(&["-"], b"what is this?"), "no header of xl"),
        (run(&["--for-xen", "4.16", "-"], &good), "4.14, 4.17, 4.20"),
        (run(&[], b""), "<FILE>"),
    ] {
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn in_the_middle_of_a_save() {
    let [good, bad] = images();
    let rubbish = [&[7; 300_000][..], &good].concat();
    let cut = &good[..good.len() / 2];
    for (image, status) in [(&good[..], 0), (&bad, 1), (cut, 1), (&rubbish, 2)] {
        // To standard output: the report is on the other one.
        let output = run(&["--quiet", "--tee", "-", "-"], image);
        assert_eq!(output.status.code(), Some(status));
        assert!(output.stdout == image, "{} bytes", output.stdout.len());
        assert!(!output.stderr.is_empty());
        // To a file.
        let copy = Scratch::new("copy");
        let output = run(&["--tee", copy.path(), "-"], image);
        assert_eq!(output.status.code(), Some(status));
        assert!(std::fs::read(&copy.0).unwrap() == image);
        assert_eq!(output.stdout.is_empty(), status == 2);
    }
    // What cannot be copied is no clean image.
    let output = run(&["--tee", "/dev/full", "-"], &good);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8(output.stderr)
        .unwrap()
        .contains("the copy: No space left"));
    // And the image is not overwritten by its own copy.
    let file = Scratch::new("same");
    std::fs::write(&file.0, &good).unwrap();
    let output = run(&["--tee", file.path(), file.path()], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(std::fs::read(&file.0).unwrap() == good);
}

#[test]
fn completions_and_the_manual_page() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["--completions", shell], b"");
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        for option in ["for-xen", "tee", "remus", "json"] {
            assert!(text.contains(option), "{shell} has no {option}");
        }
        // The generators for the others know no values.
        let with_values = ["bash", "zsh", "fish"].contains(&shell);
        assert!(!with_values || text.contains("4.17"), "{shell}");
    }
    let page = String::from_utf8(run(&["--man"], b"").stdout).unwrap();
    for part in [".TH savelint", "EXIT STATUS", "EXAMPLES", "for\\-xen"] {
        assert!(page.contains(part), "no {part:?} in the page");
    }
}
