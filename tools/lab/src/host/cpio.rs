//! Writes a cpio archive in the "newc" format, which the Linux kernel unpacks as an initramfs.

/// An archive under construction. All files belong to root.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    /// A directory.
    pub fn dir(&mut self, path: &str, mode: u32) {
        self.entry(path, 0o040_000 | mode, 2, (0, 0), &[]);
    }

    /// A regular file.
    pub fn file(&mut self, path: &str, mode: u32, data: &[u8]) {
        self.entry(path, 0o100_000 | mode, 1, (0, 0), data);
    }

    /// A symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) {
        self.entry(path, 0o120_777, 1, (0, 0), target.as_bytes());
    }

    /// A character device.
    pub fn char_device(&mut self, path: &str, mode: u32, major: u32, minor: u32) {
        self.entry(path, 0o020_000 | mode, 1, (major, minor), &[]);
    }

    /// The finished archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.inode = 0;
        self.entry("TRAILER!!!", 0, 1, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, links: u32, device: (u32, u32), data: &[u8]) {
        self.inode += 1;
        let path = path.trim_start_matches('/');
        let fields = [
            self.inode,
            mode,
            0, // user
            0, // group
            links,
            0, // time: the same inputs give the same archive
            data.len() as u32,
            0,
            0,
            device.0,
            device.1,
            path.len() as u32 + 1,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(data);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_padding_are_as_the_kernel_wants_them() {
        let mut archive = Archive::default();
        archive.dir("d", 0o755);
        archive.file("/d/f", 0o644, b"hello");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        assert!(bytes.starts_with(b"07070100000001000041ed"));
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("d/f\0") && text.contains("hello"));
        assert!(text.trim_end_matches('\0').ends_with("TRAILER!!!"));
        // Header and name of "d" (110 + 2 bytes) are a multiple of four already, so "d/f" starts
        // right there.
        assert_eq!(&bytes[112..118], b"070701");
    }
}
