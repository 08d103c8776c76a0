//! The states of xenbus. `xen/include/public/io/xenbus.h`.

use core::fmt;

/// Where one side of a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// 1: it begins.
    Initialising,
    /// 2: a backend says what it can do, and waits for rings.
    InitWait,
    /// 3: a frontend has offered rings. A backend without features may begin here.
    Initialised,
    /// 4: it works.
    Connected,
    /// 5: it is about to close.
    Closing,
    /// 6: it is closed.
    Closed,
    /// 7: a device below it changes.
    Reconfiguring,
    /// 8: a device below it has changed.
    Reconfigured,
}

impl State {
    /// Reads the number in a `state` node. 0 (`XenbusStateUnknown`) and anything above 8 is none.
    pub const fn from_number(number: u64) -> Option<State> {
        Some(match number {
            1 => State::Initialising,
            2 => State::InitWait,
            3 => State::Initialised,
            4 => State::Connected,
            5 => State::Closing,
            6 => State::Closed,
            7 => State::Reconfiguring,
            8 => State::Reconfigured,
            _ => return None,
        })
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self as u32 + 1
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn numbers_are_those_of_the_header() {
        for number in 1..=8 {
            let state = State::from_number(number).expect("1 to 8 are states");
            assert_eq!(u64::from(state.number()), number);
        }
        assert_eq!(State::InitWait.number(), 2);
        assert_eq!(State::from_number(0), None);
        assert_eq!(State::from_number(9), None);
    }
}
