//! libvirt's header (`src/libxl/libxl_conf.h` there), before libxl's stream: 64 bytes, then the
//! domain's XML.

use crate::config::{self, Config, Memory};
use crate::envelope::copy;
use crate::envelope::others::not_a_stream;
use crate::finding::Code;
use crate::format::{u32_at, LIBXL_IDENT};
use crate::input::Input;
use crate::report::Format;
use crate::source::Stop;

/// It begins with this.
pub const MAGIC: &[u8; 16] = b"libvirt-xml\n \0 \r";
const HEADER: usize = 64;
/// The streams that libvirt knows: libxl's of version 1, which is the legacy format, and of version
/// 2.
const LEGACY: u32 = 1;
const NEWEST: u32 = 2;
/// The most elements and attributes of XML that are looked at; a real one has some hundreds.
const NODES: u32 = 100_000;

/// The header and the XML.
pub fn header(input: &mut Input<'_>, format: &mut Format) -> Result<Config, Stop> {
    let at = input.source.at();
    let header = input.source.take(HEADER)?;
    let (version, length) = (u32_at(header, 16), u32_at(header, 20));
    let unused = header[24..].iter().any(|byte| *byte != 0);
    format.libvirt = Some(version);
    let mut bad = |code, why: String| {
        input
            .findings
            .add(code, || format!("libvirt's header at byte {at}: {why}"));
    };
    if unused {
        bad(Code::Reserved, "its unused fields are not zero".into());
    }
    if version > NEWEST {
        bad(
            Code::LibvirtHeader,
            format!("version {version}; libvirt reads {NEWEST} at most"),
        );
    }
    if length == 0 || i32::try_from(length).is_err() {
        bad(
            Code::LibvirtHeader,
            format!("XML of {length} bytes, which libvirt refuses"),
        );
    }
    let mut found = Config::default();
    if length > config::LONGEST {
        input.source.skip(length.into())?;
    } else {
        let text = copy(input, length.into())?;
        match from_xml(&text) {
            Ok(config) => found = config,
            Err(why) => input.findings.add(Code::LibvirtHeader, || {
                format!(
                    "libvirt's XML at byte {} cannot be read: {why}",
                    at + HEADER as u64
                )
            }),
        }
    }
    let is_new = input.source.peek(8)? == LIBXL_IDENT;
    if version == LEGACY {
        if !is_new {
            return not_a_stream(
                "libvirt's header of version 1: what follows is in the format of Xen 4.5 and older, which is not read",
            );
        }
        input.findings.add(Code::LibvirtHeader, || {
            format!(
                "libvirt's header at byte {at}: version 1 says that the format of Xen 4.5 and \
             older follows; libxl's stream of version 2 does"
            )
        });
    }
    Ok(found)
}

/// The few elements that bear on a restore, as libvirt hands them to libxl
/// (`libxlMakeDomBuildInfo`).
fn from_xml(bytes: &[u8]) -> Result<Config, String> {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = std::str::from_utf8(text).map_err(|e| e.to_string())?;
    let options = roxmltree::ParsingOptions {
        nodes_limit: NODES,
        ..Default::default()
    };
    let document =
        roxmltree::Document::parse_with_options(text, options).map_err(|e| e.to_string())?;
    let mut root = document.root_element();
    // A saved state has the domain in it, beside other things.
    if !root.has_tag_name("domain") {
        let mut inner = root.children();
        root = inner
            .find(|node| node.has_tag_name("domain"))
            .ok_or("there is no domain in it")?;
    }
    let child = |name: &str| root.children().find(|node| node.has_tag_name(name));
    let text = |name: &str| child(name).and_then(|node| node.text()).map(str::trim);
    let memory = |name: &'static str, field| {
        let kib = kib(text(name)?, child(name)?.attribute("unit").unwrap_or("KiB"))?;
        Some(Memory { kib, field })
    };
    let os = child("os").and_then(|os| os.children().find(|node| node.has_tag_name("type")));
    let kind = os
        .and_then(|kind| kind.text())
        .and_then(|kind| match kind.trim() {
            "hvm" => Some("hvm"),
            "xenpvh" => Some("pvh"),
            "xen" | "linux" => Some("pv"),
            _ => None,
        });
    Ok(Config {
        kind: kind.map(str::to_owned),
        name: text("name").map(str::to_owned),
        max_vcpus: text("vcpu").and_then(|vcpus| vcpus.parse().ok()),
        memory: memory("currentMemory", "currentMemory").or(memory("memory", "memory")),
    })
}

/// A scaled integer of libvirt's, in KiB, rounded up.
fn kib(number: &str, unit: &str) -> Option<u64> {
    let number: u64 = number.parse().ok()?;
    let bytes: u64 = match unit {
        "b" | "bytes" => 1,
        "KB" => 1000,
        "k" | "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "M" | "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "G" | "GiB" => 1 << 30,
        "TB" => 1_000_000_000_000,
        "T" | "TiB" => 1 << 40,
        _ => return None,
    };
    Some(number.checked_mul(bytes)?.div_ceil(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_of_the_xml() {
        let read = |text: &str| from_xml(text.as_bytes());
        let full = "<?xml version='1.0'?><domain type='xen' id='3'><name> a&amp;b </name><memory unit='MiB'>64</memory>\
                    <currentMemory unit='KiB'>32768</currentMemory><vcpu placement='static' current='2'>4</vcpu>\
                    <os><type arch='x86_64' machine='xenpvh'>xenpvh</type></os></domain>\0";
        let config = read(full).unwrap();
        assert_eq!(config.name.as_deref(), Some("a&b"));
        assert_eq!(config.kind.as_deref(), Some("pvh"));
        assert_eq!(config.max_vcpus, Some(4));
        let memory = config.memory.unwrap();
        assert_eq!((memory.kib, memory.field), (32768, "currentMemory"));
        let inside =
            read("<x><domain><memory>64</memory><os><type>linux</type></os></domain></x>").unwrap();
        assert_eq!(inside.memory.unwrap().kib, 64);
        assert_eq!(inside.kind.as_deref(), Some("pv"));
        for bad in [
            "",
            "<domain>",
            "<x/>",
            "<!DOCTYPE d [<!ENTITY a 'b'>]><domain/>",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let many = format!("<domain>{}</domain>", "<a/>".repeat(NODES as usize));
        assert!(read(&many).is_err());
    }

    #[test]
    fn units() {
        assert_eq!(kib("3", "G"), Some(3 << 20));
        assert_eq!(kib("1025", "b"), Some(2));
        assert_eq!(kib("1", "MB"), Some(977));
        assert_eq!(kib("99999999999999999", "TiB"), None);
        assert_eq!(kib("1", "acres"), None);
    }
}
