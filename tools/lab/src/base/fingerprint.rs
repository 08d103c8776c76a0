//! Short names for what something was made from.

use sha2::{Digest, Sha256};

/// Twelve hexadecimal digits over these parts, in their order.
pub fn of<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_ref());
        // Where one ends and the next begins belongs to it.
        hash.update([0]);
    }
    let first = &hash.finalize()[..6];
    first.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_borders_of_the_parts_count() {
        assert_ne!(of(["ab", "c"]), of(["a", "bc"]));
        assert_eq!(of(["a"]).len(), 12);
    }
}
