//! The page in a real browser: headless Chromium, at a desktop's and a telephone's width, dark, and
//! on paper.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{page, runs, sample};
use crate::base::child::{self, Output};
use crate::base::outcome::Outcome;
use crate::base::packages;
use crate::base::repo;

const SCRIPT: &str = include_str!("browser_check.js");
/// A page around the page: an iframe may be narrower than any window, and its media queries go by
/// its own width.
const FRAME: &str = r#"<!DOCTYPE html><body style="margin:0"><pre id="result"></pre><script>
addEventListener('message', (m) => { document.getElementById('result').textContent = JSON.stringify(m.data); });
</script><iframe src="page.html" style="border:0;height:8000px;width:WIDTHpx"></iframe></body>"#;

fn chromium() -> Option<PathBuf> {
    [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
    ]
    .iter()
    .map(PathBuf::from)
    .find(|path| path.exists())
}

/// What [`SCRIPT`] found.
#[derive(Debug, Deserialize)]
struct Seen {
    wrong: Vec<String>,
    texts: u32,
    figures: u32,
    width: u32,
    dark: bool,
}

/// The page of a made-up run, looked at in each way.
///
/// # Errors
/// If files cannot be written or the browser hangs.
pub fn check(log: &Path) -> Result<Outcome> {
    if chromium().is_none() && nix::unistd::geteuid().is_root() {
        packages::ensure(packages::REPORT)?;
    }
    let Some(program) = chromium() else {
        return Ok(Outcome::Skipped(
            "there is no Chromium: apt-get install chromium".into(),
        ));
    };
    let dir = tempfile::tempdir().context("cannot make a folder for the page")?;
    sample::write(&dir.path().join("runs"))?;
    let markup = page::render(&runs::collect(&dir.path().join("runs"))?).into_string();
    let with = markup.replace("</body>", &format!("<script>{SCRIPT}</script></body>"));
    fs::write(dir.path().join("page.html"), with)?;
    fs::write(dir.path().join("plain.html"), markup)?;
    let browse = |arguments: &[&str], file: &str| -> Result<Output> {
        let mut command = Command::new(&program);
        command
            .args(["--headless=new", "--disable-gpu", "--hide-scrollbars"])
            .arg(format!(
                "--user-data-dir={}",
                dir.path().join("profile").display()
            ));
        if nix::unistd::geteuid().is_root() {
            // Chromium refuses to sandbox itself as root; the page is our own and fetches nothing.
            command.arg("--no-sandbox");
        }
        command
            .args(arguments)
            .arg(format!("file://{}", dir.path().join(file).display()));
        child::run(command, b"", Duration::from_secs(180))
    };
    let mut said = String::new();
    let mut wrong = Vec::new();
    let views = [
        ("desktop", 1280, false),
        ("desktop, dark", 1280, true),
        ("telephone", 360, false),
        ("telephone, dark", 360, true),
    ];
    for (name, width, dark) in views {
        fs::write(
            dir.path().join("frame.html"),
            FRAME.replace("WIDTH", &width.to_string()),
        )?;
        let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!dark));
        let out = browse(
            &[
                "--dump-dom",
                "--virtual-time-budget=10000",
                "--window-size=1400,9000",
                &scheme,
            ],
            "frame.html",
        )?;
        match read(&out.stdout) {
            Some(seen) => {
                said.push_str(&format!("{name}: {seen:?}\n"));
                if seen.width != width || seen.dark != dark {
                    wrong.push(format!("{name}: it was not shown so: {seen:?}"));
                }
                if seen.figures < 3 || seen.texts < 100 {
                    wrong.push(format!("{name}: only {} figures", seen.figures));
                }
                wrong.extend(seen.wrong.iter().map(|w| format!("{name}: {w}")));
            }
            None => {
                said.push_str(&format!("{name}: {}{}\n", out.stdout, out.stderr));
                wrong.push(format!("{name}: the page's script said nothing"));
            }
        }
    }
    let pdf = dir.path().join("page.pdf");
    let print = format!("--print-to-pdf={}", pdf.display());
    browse(&["--no-pdf-header-footer", &print], "plain.html")?;
    let pdf = fs::read(pdf).unwrap_or_default();
    let pages = count(&pdf, b"/Type /Page\n") + count(&pdf, b"/Type /Page ");
    said.push_str(&format!("on paper: {} bytes, {pages} pages\n", pdf.len()));
    if !pdf.starts_with(b"%PDF") || pages == 0 || pages > 12 {
        wrong.push(format!("on paper: {pages} pages in {} bytes", pdf.len()));
    }
    repo::write(log, said.as_bytes())?;
    Ok(if wrong.is_empty() {
        Outcome::Passed("desktop, telephone, dark, paper".into())
    } else {
        Outcome::Failed(wrong.join("; "))
    })
}

/// The script's words, out of the page that Chromium prints.
fn read(dom: &str) -> Option<Seen> {
    let from = dom.split_once("<pre id=\"result\">")?.1;
    let text = from.split_once("</pre>")?.0;
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    serde_json::from_str(&text).ok()
}

fn count(text: &[u8], what: &[u8]) -> usize {
    text.windows(what.len()).filter(|w| *w == what).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_s_words_are_found() {
        let dom = "<body><pre id=\"result\">{\"wrong\":[\"a &lt;b&gt;\"],\"texts\":1,\"figures\":2,\"width\":3,\"dark\":true}</pre>";
        assert_eq!(read(dom).unwrap().wrong, ["a <b>"]);
        assert!(read("<pre id=\"result\"></pre>").is_none());
    }
}
