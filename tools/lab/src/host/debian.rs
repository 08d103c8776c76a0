//! Debian's releases, what is taken of each, and where it is fetched.

use std::process::Command;
use std::time::Duration;

use crate::base::child;

/// A release of Debian that dom0 is made from. Xen's tools go only with the hypervisor they were
/// built with, so the release decides both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Release {
    /// Debian 12: Xen 4.17.
    #[default]
    Bookworm,
    /// Debian 12 again, with what other toolstacks than `xl` need in dom0. Made only when a test
    /// asks for it.
    BookwormToolstacks,
    /// Debian 13: Xen 4.20.
    Trixie,
}

impl Release {
    /// Debian's name for it.
    pub fn suite(self) -> &'static str {
        match self {
            Self::Bookworm | Self::BookwormToolstacks => "bookworm",
            Self::Trixie => "trixie",
        }
    }

    /// The version in the names of Xen's packages and folders.
    pub fn xen(self) -> &'static str {
        match self {
            Self::Bookworm | Self::BookwormToolstacks => "4.17",
            Self::Trixie => "4.20",
        }
    }

    /// What mmdebstrap fetches.
    pub fn packages(self) -> String {
        let xen = self.xen();
        let more = match self {
            Self::BookwormToolstacks => {
                ",socat,libvirt-daemon,libvirt-daemon-driver-xen,libvirt-clients"
            }
            Self::Bookworm | Self::Trixie => "",
        };
        format!(
            "xen-utils-{xen},xen-hypervisor-{xen}-amd64,xenstore-utils,linux-image-amd64,busybox-static,\
             dropbear-bin,coreutils{more}"
        )
    }

    /// Where Xen's tools are.
    pub fn tools(self) -> String {
        format!("usr/lib/xen-{}/bin", self.xen())
    }
}

/// Debian's public archive, if this machine's own sources name none.
const ARCHIVE: &str = "http://deb.debian.org/debian/";

/// Where this machine gets Debian from, or Debian's public archive if it does not.
pub fn archive() -> String {
    let mut command = Command::new("apt-get");
    command.args([
        "indextargets",
        "--format",
        "$(CREATED_BY) $(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)",
    ]);
    // Without an answer the default is as good as any.
    child::run(command, b"", Duration::from_secs(60))
        .and_then(|out| out.success("apt-get indextargets"))
        .ok()
        .and_then(|text| debian_in(&text))
        .unwrap_or_else(|| ARCHIVE.to_owned())
}

/// The address in the first line that is Debian's main archive: it holds every supported release.
fn debian_in(targets: &str) -> Option<String> {
    targets
        .lines()
        .find_map(|line| line.strip_prefix("Packages Debian Debian main "))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_debian_s_main_one() {
        let targets = "DEP-11 Debian Debian main http://a/\n\
                       Packages Debian Debian-Security main http://security/\n\
                       Packages Other Debian main http://b/\n\
                       Packages Debian Debian main http://mirror/debian/\n";
        assert_eq!(debian_in(targets).as_deref(), Some("http://mirror/debian/"));
        assert_eq!(debian_in("Packages Ubuntu Ubuntu main http://u/\n"), None);
    }
}
