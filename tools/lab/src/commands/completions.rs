//! `cargo lab completions`: what a shell needs to complete the command line.

use std::io::Write;

use anyhow::{Context, Result};
use clap_complete::Shell;

/// The program behind the alias `cargo lab`.
const PROGRAM: &str = "xenlab";

/// bash completes `cargo` by one function. This one takes the words after `cargo lab` and leaves
/// all others to the function that was there before.
const CARGO_LAB_IN_BASH: &str = r#"
_cargo_lab_before=$(complete -p cargo 2>/dev/null | sed -n 's/.*-F \([^ ]*\).*/\1/p')
[ "$_cargo_lab_before" = _cargo_lab ] && _cargo_lab_before=
_cargo_lab() {
    if [ "${COMP_WORDS[1]}" = lab ] && [ "$COMP_CWORD" -gt 1 ]; then
        COMP_WORDS=(xenlab "${COMP_WORDS[@]:2}")
        COMP_CWORD=$((COMP_CWORD - 1))
        _xenlab xenlab "$2" "${COMP_WORDS[COMP_CWORD - 1]}"
    elif [ -n "$_cargo_lab_before" ]; then
        "$_cargo_lab_before" "$@"
    fi
}
complete -F _cargo_lab -o bashdefault -o default cargo
"#;

/// The script for `shell`.
fn script(shell: Shell, mut command: clap::Command) -> Vec<u8> {
    // In memory first: the maker panics if it cannot write.
    let mut out = Vec::new();
    command = command.bin_name(PROGRAM);
    clap_complete::generate(shell, &mut command, PROGRAM, &mut out);
    if shell == Shell::Bash {
        out.extend(CARGO_LAB_IN_BASH.bytes());
    }
    out
}

/// Prints them.
///
/// # Errors
/// If nobody takes what is printed.
pub fn print(shell: Shell, command: clap::Command) -> Result<()> {
    let script = script(shell, command);
    std::io::stdout()
        .write_all(&script)
        .context("cannot print the completions")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// What bash offers for these words.
    fn offered(words: &[&str]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("completions");
        let lab = clap::Command::new("cargo lab")
            .subcommand(clap::Command::new("life").arg(clap::Arg::new("by").long("by")))
            .subcommand(clap::Command::new("soak"));
        std::fs::write(&file, script(Shell::Bash, lab)).unwrap();
        let run = format!(
            "_before() {{ COMPREPLY=(before); }}; complete -F _before cargo; . {}\n\
             COMP_WORDS=({}); COMP_CWORD=$(({} - 1)); COMPREPLY=()\n\
             _cargo_lab cargo \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; echo \"${{COMPREPLY[*]}}\"",
            file.display(),
            words.iter().map(|w| format!("'{w}'")).collect::<Vec<_>>().join(" "),
            words.len(),
        );
        let out = Command::new("bash").args(["-c", &run]).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    }

    #[test]
    fn bash_completes_the_alias_and_leaves_the_rest_of_cargo_alone() {
        assert_eq!(offered(&["cargo", "lab", "li"]).trim(), "life");
        assert!(offered(&["cargo", "lab", "life", "--b"]).contains("--by"));
        assert_eq!(offered(&["cargo", "bui"]).trim(), "before");
    }
}
