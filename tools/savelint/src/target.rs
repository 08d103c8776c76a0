//! The Xen that is to restore: what one version reads and another refuses.

use std::fmt;
use std::str::FromStr;

/// A version of Xen whose rules are known. Those between two known ones are judged by the next
/// higher: it reads what they write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Xen {
    /// 4.14 (compared with 4.14.5), also for what is older.
    V4_14,
    /// 4.17 (compared with 4.17.5).
    V4_17,
    /// 4.20 (compared with 4.20.2), also for what is newer.
    V4_20,
}

impl Xen {
    /// All that are known.
    pub const ALL: [Self; 3] = [Self::V4_14, Self::V4_17, Self::V4_20];

    /// Its number, as `--for-xen` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4_14 => "4.14",
            Self::V4_17 => "4.17",
            Self::V4_20 => "4.20",
        }
    }

    /// The one by whose rules the images of a version are judged if nothing else is asked for.
    pub(crate) fn that_wrote((major, minor): (u32, u32)) -> Self {
        match (major, minor) {
            (0..=3, _) | (4, 0..=14) => Self::V4_14,
            (4, 15..=17) => Self::V4_17,
            _ => Self::V4_20,
        }
    }
}

impl fmt::Display for Xen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Xen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|xen| xen.name() == text);
        known.copied().ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("Xen {text} is not known; {names} are")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_between_are_judged_by_the_next_higher() {
        for (version, xen) in [
            ((0, 1), Xen::V4_14),
            ((3, 4), Xen::V4_14),
            ((4, 14), Xen::V4_14),
            ((4, 15), Xen::V4_17),
            ((4, 17), Xen::V4_17),
            ((4, 18), Xen::V4_20),
            ((4, 21), Xen::V4_20),
            ((5, 0), Xen::V4_20),
        ] {
            assert_eq!(Xen::that_wrote(version), xen, "{version:?}");
        }
        assert_eq!("4.17".parse(), Ok(Xen::V4_17));
        assert!("4.16"
            .parse::<Xen>()
            .unwrap_err()
            .contains("4.14, 4.17, 4.20"));
    }
}
