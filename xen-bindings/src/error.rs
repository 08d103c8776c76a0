//! What a refused hypercall says: which call, on what, and Xen's error number by name.

use core::fmt;

/// Xen's error number, positive.
///
/// Xen's numbers are its own (`public/errno.h`); those that exist on Linux have the same value
/// there.
#[doc(alias = "xen_errno")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(u32);

macro_rules! errno {
    ($($name:ident $value:literal $text:literal,)*) => {
        impl Errno {
            $(#[doc = $text] pub const $name: Self = Self($value);)*

            /// The name in Xen's `public/errno.h` without its prefix; none for a number that is not
            /// there.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// The number that has this name (as xenstored writes it), or none.
            #[must_use]
            pub fn from_name(name: &[u8]) -> Option<Self> {
                $(if name == stringify!($name).as_bytes() {
                    return Some(Self::$name);
                })*
                None
            }
        }
        #[cfg(test)]
        const ALL: &[(Errno, u32)] = &[$((Errno::$name, crate::error::tests::header::$name),)*];
    };
}

errno! {
    EPERM 1 "Operation not permitted",
    ENOENT 2 "No such file or directory",
    ESRCH 3 "No such process (or domain)",
    EIO 5 "I/O error",
    ENXIO 6 "No such device or address",
    E2BIG 7 "Argument list too long",
    ENOEXEC 8 "Executable format error",
    EBADF 9 "Bad file number",
    ECHILD 10 "No child processes",
    EAGAIN 11 "Try again",
    ENOMEM 12 "Out of memory",
    EACCES 13 "Permission denied",
    EFAULT 14 "Bad address",
    EBUSY 16 "Device or resource busy",
    EEXIST 17 "Exists already",
    EXDEV 18 "Cross-device link",
    ENODEV 19 "No such device",
    ENOTDIR 20 "Not a directory",
    EISDIR 21 "Is a directory",
    EINVAL 22 "Invalid argument",
    ENFILE 23 "File table overflow",
    EMFILE 24 "Too many open files",
    ENOSPC 28 "No space left on device",
    EROFS 30 "Read-only file system",
    EMLINK 31 "Too many links",
    EDOM 33 "Argument out of the function's domain",
    ERANGE 34 "Result not representable",
    EDEADLK 35 "Resource deadlock would occur",
    ENAMETOOLONG 36 "File name too long",
    ENOLCK 37 "No record locks available",
    ENOSYS 38 "Function not implemented",
    ENOTEMPTY 39 "Directory not empty",
    ENODATA 61 "No data available",
    ETIME 62 "Timer expired",
    EBADMSG 74 "Not a data message",
    EOVERFLOW 75 "Value too large for its type",
    EILSEQ 84 "Illegal byte sequence",
    ENOTSOCK 88 "Socket operation on non-socket",
    EMSGSIZE 90 "Message too large",
    EOPNOTSUPP 95 "Operation not supported",
    EADDRINUSE 98 "Address already in use",
    EADDRNOTAVAIL 99 "Cannot assign requested address",
    ENOBUFS 105 "No buffer space available",
    EISCONN 106 "Already connected",
    ENOTCONN 107 "Not connected",
    ETIMEDOUT 110 "Timed out",
    ECONNREFUSED 111 "Connection refused",
}

impl Errno {
    /// The positive number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// From a positive number.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "unknown error {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a hypercall was about, for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Nothing to add to the call's name.
    Nothing,
    /// A thing with a name of its own in the headers, such as an HVM parameter.
    Name(&'static str),
    /// A virtual CPU, by Xen's number.
    Vcpu(u32),
    /// An event channel, by its port.
    Port(u32),
    /// A guest frame number.
    Gfn(u64),
    /// Any other number.
    Number(u64),
}

/// A hypercall as a person names it: the operation's name in Xen's headers, and its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The operation's name in Xen's headers, such as `EVTCHNOP_send`.
    pub op: &'static str,
    /// What it was about.
    pub subject: Subject,
}

impl Call {
    /// A call with nothing to add to its name.
    #[must_use]
    pub const fn new(op: &'static str) -> Self {
        Self {
            op,
            subject: Subject::Nothing,
        }
    }

    /// A call about `subject`.
    #[must_use]
    pub const fn on(op: &'static str, subject: Subject) -> Self {
        Self { op, subject }
    }

    /// Reads a hypercall's return value: negative is an error number.
    ///
    /// # Errors
    /// The error that a negative `ret` stands for.
    pub const fn check(self, ret: isize) -> Result<usize> {
        if ret < 0 {
            // An error number is far below 2^32; should Xen ever return less, the low half is still
            // what there is to report.
            #[allow(clippy::cast_possible_truncation)]
            let number = ret.unsigned_abs() as u32;
            Err(HypercallError {
                call: self,
                errno: Errno(number),
            })
        } else {
            Ok(ret.unsigned_abs())
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.op)?;
        match self.subject {
            Subject::Nothing => Ok(()),
            Subject::Name(name) => write!(f, "({name})"),
            Subject::Vcpu(vcpu) => write!(f, "(vcpu {vcpu})"),
            Subject::Port(port) => write!(f, "(port {port})"),
            Subject::Gfn(gfn) => write!(f, "(gfn {gfn:#x})"),
            Subject::Number(number) => write!(f, "({number})"),
        }
    }
}

/// Xen refused a hypercall.
///
/// Its text reads `HVMOP_set_param(CALLBACK_IRQ): EINVAL (22)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HypercallError {
    /// The call that was refused.
    pub call: Call,
    /// Xen's reason.
    pub errno: Errno,
}

impl fmt::Display for HypercallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.errno)
    }
}

impl core::error::Error for HypercallError {}

/// What a safe wrapper around a hypercall returns.
pub type Result<T> = core::result::Result<T, HypercallError>;

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    /// The headers' numbers under the names used here.
    pub(super) mod header {
        macro_rules! take {
            ($($name:ident = $xen:ident,)*) => { $(pub const $name: u32 = crate::ffi::$xen;)* };
        }
        take! {
            EPERM = XEN_EPERM, ENOENT = XEN_ENOENT, ESRCH = XEN_ESRCH, EIO = XEN_EIO,
            ENXIO = XEN_ENXIO, E2BIG = XEN_E2BIG, ENOEXEC = XEN_ENOEXEC, EBADF = XEN_EBADF,
            ECHILD = XEN_ECHILD, EAGAIN = XEN_EAGAIN, ENOMEM = XEN_ENOMEM, EACCES = XEN_EACCES,
            EFAULT = XEN_EFAULT, EBUSY = XEN_EBUSY, EEXIST = XEN_EEXIST, EXDEV = XEN_EXDEV,
            ENODEV = XEN_ENODEV, ENOTDIR = XEN_ENOTDIR, EISDIR = XEN_EISDIR, EINVAL = XEN_EINVAL,
            ENFILE = XEN_ENFILE, EMFILE = XEN_EMFILE, ENOSPC = XEN_ENOSPC, EROFS = XEN_EROFS,
            EMLINK = XEN_EMLINK, EDOM = XEN_EDOM, ERANGE = XEN_ERANGE, EDEADLK = XEN_EDEADLK,
            ENAMETOOLONG = XEN_ENAMETOOLONG, ENOLCK = XEN_ENOLCK, ENOSYS = XEN_ENOSYS,
            ENOTEMPTY = XEN_ENOTEMPTY, ENODATA = XEN_ENODATA, ETIME = XEN_ETIME, EBADMSG = XEN_EBADMSG,
            EOVERFLOW = XEN_EOVERFLOW, EILSEQ = XEN_EILSEQ,
            ENOTSOCK = XEN_ENOTSOCK, EMSGSIZE = XEN_EMSGSIZE, EOPNOTSUPP = XEN_EOPNOTSUPP,
            EADDRINUSE = XEN_EADDRINUSE, EADDRNOTAVAIL = XEN_EADDRNOTAVAIL, ENOBUFS = XEN_ENOBUFS,
            EISCONN = XEN_EISCONN, ENOTCONN = XEN_ENOTCONN, ETIMEDOUT = XEN_ETIMEDOUT,
            ECONNREFUSED = XEN_ECONNREFUSED,
        }
    }

    #[test]
    fn numbers_and_names_are_the_headers() {
        for &(errno, number) in ALL {
            assert_eq!(errno.number(), number, "{errno}");
            let name = errno.name().unwrap();
            assert_eq!(Errno::from_name(name.as_bytes()), Some(errno));
        }
        assert_eq!(Errno::from_name(b"EWHATEVER"), None);
        assert_eq!(Errno::from_name(b"EINVALID"), None);
    }

    #[test]
    fn an_error_reads_as_a_sentence() {
        let call = Call::on("HVMOP_set_param", Subject::Name("CALLBACK_IRQ"));
        let error = call.check(-22).unwrap_err();
        assert_eq!(
            error.to_string(),
            "HVMOP_set_param(CALLBACK_IRQ): EINVAL (22)"
        );
        let error = Call::on("VCPUOP_up", Subject::Vcpu(3))
            .check(-2)
            .unwrap_err();
        assert_eq!(error.to_string(), "VCPUOP_up(vcpu 3): ENOENT (2)");
        let error = Call::new("SCHEDOP_block").check(-4000).unwrap_err();
        assert_eq!(error.to_string(), "SCHEDOP_block: unknown error 4000");
        assert_eq!(Call::new("SCHEDOP_block").check(1), Ok(1));
    }
}
