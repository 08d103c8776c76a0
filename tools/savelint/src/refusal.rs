//! What Xen refuses by its value, with the error it gives.

use std::fmt;

/// One refusal.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The error number.
    pub errno: Errno,
    /// What is wrong, in words.
    pub why: String,
}

impl Refusal {
    /// With this error.
    pub fn new(errno: Errno, why: impl Into<String>) -> Self {
        Self {
            errno,
            why: why.into(),
        }
    }

    /// As a result that ends the check.
    pub fn err<T>(errno: Errno, why: impl Into<String>) -> Result<T, Self> {
        Err(Self::new(errno, why))
    }
}

/// The errors that Xen gives; `Display` is as `perror` prints it in xl's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errno {
    Enoent = 2,
    Esrch = 3,
    Eio = 5,
    Enxio = 6,
    E2big = 7,
    Ebusy = 16,
    Eexist = 17,
    Enodev = 19,
    Einval = 22,
    Edom = 33,
    Erange = 34,
    Enodata = 61,
    Eoverflow = 75,
    Eopnotsupp = 95,
}

impl Errno {
    /// Its number on Linux.
    pub fn number(self) -> i32 {
        self as i32
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::Enoent => "No such file or directory",
            Self::Esrch => "No such process",
            Self::Eio => "Input/output error",
            Self::Enxio => "No such device or address",
            Self::E2big => "Argument list too long",
            Self::Ebusy => "Device or resource busy",
            Self::Eexist => "File exists",
            Self::Enodev => "No such device",
            Self::Einval => "Invalid argument",
            Self::Edom => "Numerical argument out of domai",
            Self::Erange => "Numerical result out of range",
            Self::Enodata => "No data available",
            // libxc keeps 31 bytes of the words.
            Self::Eoverflow => "Value too large for defined dat",
            Self::Eopnotsupp => "Operation not supported",
        };
        write!(f, "{} = {words}", self.number())
    }
}
