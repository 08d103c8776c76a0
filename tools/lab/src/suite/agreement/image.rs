//! A saved image in records, and edits of its bytes. Uses nothing of `savelint`'s, which is to be
//! compared.

use anyhow::{bail, Context, Result};

/// One edit: the bytes from `from` to `to` become others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splice {
    /// The first byte that is replaced.
    pub from: usize,
    /// The first that is kept again.
    pub to: usize,
    /// What stands there instead.
    pub with: Vec<u8>,
}

/// An image of xl's.
pub struct Image {
    /// All of it.
    pub bytes: Vec<u8>,
    /// libxc's records: type, and the place of the body.
    records: Vec<(u32, std::ops::Range<usize>)>,
}

/// xl's header without its data, libxl's, libxc's two; a record's.
const XL: usize = 48;
const LIBXL: usize = 16;
const LIBXC: usize = 40;
const RECORD: usize = 8;

impl Image {
    /// Finds the records.
    ///
    /// # Errors
    /// If it is none of xl's, or ends too early.
    pub fn new(bytes: Vec<u8>) -> Result<Self> {
        let word = |at: usize| -> Result<usize> {
            let bytes = bytes.get(at..at + 4).context("the image ends too early")?;
            Ok(bytes
                .iter()
                .rev()
                .fold(0, |all, byte| all << 8 | usize::from(*byte)))
        };
        if !bytes.starts_with(b"Xen saved domain, xl format") {
            bail!("no image of xl's");
        }
        // libxl's first record says that libxc's stream follows.
        let mut at = XL + word(44)? + LIBXL + RECORD + LIBXC;
        let mut records = Vec::new();
        loop {
            let (kind, length) = (word(at)? as u32, word(at + 4)?);
            let body = at + RECORD..at + RECORD + length;
            at = body.start + length.next_multiple_of(8);
            records.push((kind, body));
            if kind == 0 {
                break;
            }
        }
        Ok(Self { bytes, records })
    }

    /// Where the first record of a type has its body.
    ///
    /// # Errors
    /// If there is none.
    pub fn body(&self, kind: u32) -> Result<std::ops::Range<usize>> {
        let record = self.records.iter().find(|(k, _)| *k == kind);
        Ok(record
            .with_context(|| format!("no record {kind:#x}"))?
            .1
            .clone())
    }

    /// A number of up to 8 bytes.
    pub fn number(&self, at: usize, width: usize) -> u64 {
        let bytes = &self.bytes[at..at + width];
        bytes
            .iter()
            .rev()
            .fold(0, |all, byte| all << 8 | u64::from(*byte))
    }

    /// The entries of the HVM context: type, instance, place of the body.
    ///
    /// # Errors
    /// If there is none.
    pub fn entries(&self) -> Result<Vec<(u16, u16, std::ops::Range<usize>)>> {
        let context = self.body(9)?;
        let mut at = context.start;
        let mut entries = Vec::new();
        while at + 8 <= context.end {
            let (kind, instance) = (self.number(at, 2) as u16, self.number(at + 2, 2) as u16);
            let end = at + 8 + self.number(at + 4, 4) as usize;
            entries.push((kind, instance, at + 8..end));
            at = end;
        }
        Ok(entries)
    }

    /// A number in place of another.
    pub fn put(&self, at: usize, value: u64, width: usize) -> Splice {
        Splice {
            from: at,
            to: at + width,
            with: value.to_le_bytes()[..width].to_vec(),
        }
    }

    /// The first record of a type with another body: its length and padding follow.
    ///
    /// # Errors
    /// If there is none.
    pub fn with_body(&self, kind: u32, edit: impl FnOnce(&mut Vec<u8>)) -> Result<Splice> {
        let old = self.body(kind)?;
        let mut body = self.bytes[old.clone()].to_vec();
        edit(&mut body);
        let mut with = (body.len() as u32).to_le_bytes().to_vec();
        with.extend(&body);
        with.resize(4 + body.len().next_multiple_of(8), 0);
        Ok(Splice {
            from: old.start - 4,
            to: old.start + (old.end - old.start).next_multiple_of(8),
            with,
        })
    }

    /// Another record before the first of a type.
    ///
    /// # Errors
    /// If there is none.
    pub fn insert_before(&self, kind: u32, new: u32, body: &[u8]) -> Result<Splice> {
        let at = self.body(kind)?.start - RECORD;
        let mut with = new.to_le_bytes().to_vec();
        with.extend((body.len() as u32).to_le_bytes());
        with.extend(body);
        with.resize(with.len().next_multiple_of(8), 0);
        Ok(Splice {
            from: at,
            to: at,
            with,
        })
    }

    /// The first record of a type left out.
    ///
    /// # Errors
    /// If there is none.
    pub fn without(&self, kind: u32) -> Result<Splice> {
        let old = self.body(kind)?;
        Ok(Splice {
            from: old.start - RECORD,
            to: old.start + (old.end - old.start).next_multiple_of(8),
            with: Vec::new(),
        })
    }

    /// The image after an edit.
    pub fn edited(&self, splice: &Splice) -> Vec<u8> {
        let mut bytes = self.bytes[..splice.from].to_vec();
        bytes.extend(&splice.with);
        bytes.extend(&self.bytes[splice.to..]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Image {
        let mut bytes = vec![0; XL];
        bytes[..27].copy_from_slice(b"Xen saved domain, xl format");
        bytes[44] = 3;
        bytes.extend([7; 3]);
        bytes.extend([0; LIBXL + RECORD + LIBXC]);
        for (kind, body) in [
            (8u32, &b"abc"[..]),
            (9, b"\x01\0\x02\0\x01\0\0\0x\0\0\0\0\0\0\0\0"),
            (0, b""),
        ] {
            bytes.extend(kind.to_le_bytes());
            bytes.extend((body.len() as u32).to_le_bytes());
            bytes.extend(body);
            bytes.resize(bytes.len() + body.len().next_multiple_of(8) - body.len(), 0);
        }
        bytes.extend([0; 8]);
        Image::new(bytes).unwrap()
    }

    #[test]
    fn records_are_found_and_edited() {
        let image = sample();
        let body = image.body(8).unwrap();
        assert_eq!(&image.bytes[body.clone()], b"abc");
        assert!(image.body(5).is_err());
        let entries = image.entries().unwrap();
        assert_eq!((entries[0].0, entries[0].1), (1, 2));
        assert_eq!(entries[1].0, 0);
        let longer = image.with_body(8, |body| body.extend([b'd'; 8])).unwrap();
        let longer = Image::new(image.edited(&longer)).unwrap();
        assert_eq!(&longer.bytes[longer.body(8).unwrap()], b"abcdddddddd");
        assert!(longer.body(9).is_ok());
        let none = Image::new(image.edited(&image.without(8).unwrap())).unwrap();
        assert!(none.body(8).is_err() && none.body(9).is_ok());
        let more = image.insert_before(9, 0x33, b"x").unwrap();
        let more = Image::new(image.edited(&more)).unwrap();
        assert_eq!(&more.bytes[more.body(0x33).unwrap()], b"x");
        let put = image.edited(&image.put(body.start, u64::from(b'z'), 1));
        assert_eq!(put[body.start], b'z');
        assert_eq!(put.len(), image.bytes.len());
        assert!(Image::new(image.bytes[..60].to_vec()).is_err());
    }
}
