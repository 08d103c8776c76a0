//! The keys of the channel to dom0, made when the image is built.
//!
//! `ssh-keygen` writes OpenSSH's formats; dropbear wants a private host key in its own, which holds
//! the same two numbers in another order.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{bail, Context, Result};

use crate::base::child;

/// What goes into the image and what stays outside.
pub struct Keys {
    /// A line for `authorized_keys`.
    pub client_public: String,
    /// The client's private key in dropbear's format, for the other dom0 when there are two.
    pub client_private_dropbear: Vec<u8>,
    /// The host key in dropbear's format.
    pub host_private_dropbear: Vec<u8>,
    /// A line for `known_hosts`, for the host name `dom0`.
    pub known_hosts: String,
}

impl Keys {
    /// Makes new keys and leaves the client's private key as `key` in `dir`.
    ///
    /// # Errors
    /// If ssh-keygen is missing or writes something this code does not know.
    pub fn generate(dir: &Path) -> Result<Self> {
        for name in ["key", "host_key"] {
            let mut command = Command::new("ssh-keygen");
            command
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "xenlab", "-f"])
                .arg(dir.join(name));
            child::run(command, b"", Duration::from_secs(60))?.success("ssh-keygen")?;
        }
        let host_public = fs::read_to_string(dir.join("host_key.pub"))?;
        let host_private = fs::read_to_string(dir.join("host_key"))?;
        fs::remove_file(dir.join("host_key"))?;
        let client_private = fs::read_to_string(dir.join("key"))?;
        Ok(Self {
            client_public: fs::read_to_string(dir.join("key.pub"))?,
            client_private_dropbear: to_dropbear(&client_private)
                .context("in the key that ssh-keygen made")?,
            host_private_dropbear: to_dropbear(&host_private)
                .context("in the key that ssh-keygen made")?,
            known_hosts: format!("dom0 {host_public}"),
        })
    }
}

/// Converts an unencrypted ed25519 private key from OpenSSH's format (its PROTOCOL.key) to
/// dropbear's: the type's name, then 64 bytes (seed and public key), each with its length before
/// it.
fn to_dropbear(pem: &str) -> Result<Vec<u8>> {
    const KIND: &[u8] = b"ssh-ed25519";
    let body: String = pem.lines().filter(|l| !l.starts_with("-----")).collect();
    let bytes = base64(&body).context("it is not base64")?;
    if !bytes.starts_with(b"openssh-key-v1\0") {
        bail!("it is not in OpenSSH's format");
    }
    // The private part repeats the kind, then the public key (4 + 32 bytes), then 64 secret bytes.
    let at = bytes
        .windows(KIND.len())
        .rposition(|w| w == KIND)
        .context("it is no ed25519 key")?;
    let secret = bytes
        .get(at + KIND.len() + 4 + 32 + 4..)
        .and_then(|tail| tail.get(..64))
        .context("it is cut off")?;
    let mut out = Vec::new();
    for field in [KIND, secret] {
        out.extend_from_slice(&(field.len() as u32).to_be_bytes());
        out.extend_from_slice(field);
    }
    Ok(out)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut have) = (0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        bits = bits << 6 | DIGITS.iter().position(|&d| d == byte)? as u32;
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_knows_the_usual_cases() {
        assert_eq!(base64("aGVsbG8=").unwrap(), b"hello");
        assert_eq!(base64("").unwrap(), b"");
        assert!(base64("a b").is_none());
    }

    #[test]
    fn garbage_is_no_key() {
        assert!(to_dropbear("").is_err());
        assert!(to_dropbear("-----BEGIN\nb3BlbnNzaC1rZXktdjEAc3NoLWVkMjU1MTk=\n").is_err());
    }
}
