//! The keys of the channel to dom0, made when the image is built.
//!
//! `ssh-keygen` makes them; dropbear wants private keys in a format of its own, which holds the same
//! two numbers.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{anyhow, Context, Result};
use ssh_key::PrivateKey;

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

/// Converts an unencrypted ed25519 private key from OpenSSH's format to dropbear's
/// (`buf_put_ed25519_priv_key` in its `ed25519.c`): the type's name, then 64 bytes (seed and public
/// key), each with its length before it.
fn to_dropbear(openssh: &str) -> Result<Vec<u8>> {
    let key = PrivateKey::from_openssh(openssh).map_err(|why| anyhow!("{why}"))?;
    let pair = key.key_data().ed25519().context("it is no ed25519 key")?;
    let mut out = Vec::new();
    for field in [&b"ssh-ed25519"[..], &pair.to_bytes()] {
        out.extend_from_slice(&(field.len() as u32).to_be_bytes());
        out.extend_from_slice(field);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_no_key() {
        assert!(to_dropbear("").is_err());
        assert!(to_dropbear("-----BEGIN\nb3BlbnNzaC1rZXktdjEAc3NoLWVkMjU1MTk=\n").is_err());
    }

    #[test]
    fn a_key_of_ssh_keygen_is_converted() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::generate(dir.path()).unwrap();
        let bytes = &keys.host_private_dropbear;
        assert_eq!(bytes[..4], [0, 0, 0, 11]);
        assert_eq!(&bytes[4..15], b"ssh-ed25519");
        assert_eq!(bytes[15..19], [0, 0, 0, 64]);
        assert_eq!(bytes.len(), 19 + 64);
        // The public half, as known_hosts has it: after the type's name and two lengths.
        let public = keys.known_hosts.split(' ').nth(2).unwrap();
        let public = <base64ct::Base64 as base64ct::Encoding>::decode_vec(public).unwrap();
        assert_eq!(bytes[19 + 32..], public[4 + 11 + 4..]);
    }
}
