//! A guest's configuration for `xl`.

/// What `xl create` is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The domain's name.
    pub name: String,
    /// Path of the kernel in dom0.
    pub kernel: String,
    /// Possible vCPUs.
    pub max_vcpus: u32,
    /// vCPUs online at the start.
    pub vcpus: u32,
    /// Memory, MiB.
    pub mem: u32,
    /// The kernel's command line.
    pub cmdline: String,
    /// Hardware-assisted paging; without it Xen must have shadow paging. See [`crate::xen_build::hap`].
    pub hap: bool,
}

impl Config {
    /// The configuration file's text.
    pub fn text(&self) -> String {
        let quoted = self.cmdline.replace('\\', "\\\\").replace('"', "\\\"");
        // One 2 MiB page tables' pool is enough for these guests; xl's default would be larger than they are.
        format!(
            "name = \"{}\"\ntype = \"pvh\"\nkernel = \"{}\"\nvcpus = {}\nmaxvcpus = {}\nmemory = {}\n\
             cmdline = \"{quoted}\"\non_crash = \"preserve\"\non_poweroff = \"destroy\"\non_reboot = \"restart\"\n\
             hap = {}\n",
            self.name,
            self.kernel,
            self.vcpus,
            self.max_vcpus,
            self.mem,
            u8::from(self.hap),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_with_quotes_stays_one_string() {
        let config = Config {
            name: "g".into(),
            kernel: "/lab/k".into(),
            max_vcpus: 4,
            vcpus: 2,
            mem: 32,
            cmdline: "a=\"b\" c".into(),
            hap: false,
        };
        assert!(config.text().contains("cmdline = \"a=\\\"b\\\" c\""));
        assert!(config.text().contains("maxvcpus = 4\n"));
        assert!(config.text().contains("hap = 0\n"));
    }
}
