//! What xl's configuration says of the domain: the few fields that bear on a restore.

use serde::Deserialize;

/// The longest configuration that is looked into; a real one has a few KiB.
pub const LONGEST: u32 = 4 << 20;

/// The fields that matter; libxl leaves out those with default values.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `pv`, `pvh` or `hvm`.
    pub kind: Option<String>,
    /// The domain's name.
    pub name: Option<String>,
    /// How many vCPUs it may have.
    pub max_vcpus: Option<u32>,
    /// What the domain's memory may come to, from `target_memkb` and `max_memkb`.
    pub memory: Option<Memory>,
}

/// How much memory a domain is made with, and in whose words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The number in the configuration, KiB.
    pub kib: u64,
    /// The field that has it.
    pub field: &'static str,
}

/// What libxl adds to a domain's target before it tells Xen (`LIBXL_MAXMEM_CONSTANT`), KiB.
pub const SLACK: u64 = 1024;

impl Memory {
    /// So many pages may be populated; Xen refuses the next with `Over-allocation`
    /// (`assign_pages`).
    ///
    /// `libxl__build_pre` sets the limit before libxc's stream is read, and nothing raises it until
    /// the domain runs.
    pub fn pages(self) -> u64 {
        self.kib.saturating_add(SLACK) / 4
    }
}

#[derive(Deserialize)]
struct Json {
    #[serde(default)]
    c_info: CreateInfo,
    #[serde(default)]
    b_info: BuildInfo,
}

#[derive(Deserialize, Default)]
struct CreateInfo {
    r#type: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize, Default)]
struct BuildInfo {
    max_vcpus: Option<u32>,
    target_memkb: Option<u64>,
    max_memkb: Option<u64>,
}

impl BuildInfo {
    /// A target that is not given is the maximum, and a maximum that is not given 32 MiB
    /// (`libxl__domain_build_info_setdefault`).
    fn memory(&self) -> Memory {
        let target = self.target_memkb.map(|kib| (kib, "target_memkb"));
        let max = self.max_memkb.map(|kib| (kib, "max_memkb"));
        let default = (32 << 10, "libxl's default without max_memkb");
        let (kib, field) = target.or(max).unwrap_or(default);
        Memory { kib, field }
    }
}

impl Config {
    /// Reads libxl's JSON, which ends with a NUL.
    ///
    /// # Errors
    /// serde's words.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
        let json: Json = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        Ok(Self {
            kind: json.c_info.r#type,
            name: json.c_info.name,
            max_vcpus: json.b_info.max_vcpus,
            memory: Some(json.b_info.memory()),
        })
    }
}
