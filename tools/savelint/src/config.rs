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
        })
    }
}
