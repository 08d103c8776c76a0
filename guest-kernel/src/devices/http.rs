//! As much of HTTP/1.1 as the service speaks: one request for each connection.

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// `GET /`.
    Status,
    /// `GET /records`.
    Records,
    /// `POST /records`, with what is to be kept.
    Append(&'a [u8]),
}

/// What the bytes that have come are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// A beginning.
    Incomplete,
    /// All of it.
    Whole(Asked<'a>),
    /// Nothing that is answered otherwise than by this status.
    Bad(&'static str),
}

/// Reads a request. `most`: bytes of the longest body that is taken.
pub fn read(bytes: &[u8], most: usize) -> Request<'_> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Request::Incomplete;
    };
    let Ok(head) = core::str::from_utf8(&bytes[..end]) else {
        return Request::Bad("400 Bad Request");
    };
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or("").split(' ');
    match (first.next().unwrap_or(""), first.next().unwrap_or("")) {
        ("GET", "/") => Request::Whole(Asked::Status),
        ("GET", "/records") => Request::Whole(Asked::Records),
        ("POST", "/records") => {
            let Some(length) = lines.find_map(content_length) else {
                return Request::Bad("411 Length Required");
            };
            if length == 0 || length > most {
                return Request::Bad("413 Content Too Large");
            }
            match bytes[end + 4..].get(..length) {
                Some(body) => Request::Whole(Asked::Append(body)),
                None => Request::Incomplete,
            }
        }
        ("GET" | "POST", _) => Request::Bad("404 Not Found"),
        _ => Request::Bad("405 Method Not Allowed"),
    }
}

fn content_length(line: &str) -> Option<usize> {
    let (name, value) = line.split_once(':')?;
    let is_it = name.eq_ignore_ascii_case("content-length");
    is_it.then(|| value.trim().parse().ok())?
}
