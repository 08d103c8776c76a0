//! Grants that could not be ended yet.

use core::time::Duration;

use crate::error::Name;
use crate::kernel::Kernel;

/// How long a backend may keep a page mapped whose use is over before a message says so.
const PATIENCE: Duration = Duration::from_secs(10);

/// Grants whose end the backend refused, because it has their pages mapped still. Tried again at
/// each poll; the list has a limit, beyond which a page is given up, and both cases are told.
///
/// Without it a kernel either frees a page that somebody else writes to, or loses one at each
/// reconnection without a word until it starves.
pub(crate) struct Lingering<K: Kernel, const LIMIT: usize> {
    grants: [Option<K::Grant>; LIMIT],
    held: usize,
    /// When the list last became longer than empty, until a message has said so.
    since: Option<Duration>,
    abandoned: u64,
}

impl<K: Kernel, const LIMIT: usize> Lingering<K, LIMIT> {
    pub(crate) const fn new() -> Self {
        Lingering {
            grants: [const { None }; LIMIT],
            held: 0,
            since: None,
            abandoned: 0,
        }
    }

    /// How many there are.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// How many pages were lost because the list was full.
    pub(crate) fn abandoned(&self) -> u64 {
        self.abandoned
    }

    /// Ends a grant and frees its page, now or later.
    pub(crate) fn end(&mut self, kernel: &mut K, device: Name, grant: K::Grant) {
        match kernel.end(grant) {
            Ok(page) => kernel.free(page),
            Err(grant) => self.keep(kernel, device, grant),
        }
    }

    /// Takes a grant whose end was just refused.
    pub(crate) fn keep(&mut self, kernel: &mut K, device: Name, grant: K::Grant) {
        if let Some(place) = self.grants.iter_mut().find(|place| place.is_none()) {
            *place = Some(grant);
            if self.held == 0 {
                self.since = Some(kernel.now());
            }
            self.held += 1;
            return;
        }
        self.abandoned += 1;
        if self.abandoned.is_power_of_two() {
            log::error!(
                "{device}: its backend keeps {LIMIT} pages mapped whose use is over; {} more are lost for good",
                self.abandoned
            );
        }
        kernel.abandon(grant);
    }

    /// Tries each again.
    pub(crate) fn retry(&mut self, kernel: &mut K, device: Name) {
        if self.held == 0 {
            return;
        }
        for place in &mut self.grants {
            let Some(grant) = place.take() else { continue };
            match kernel.end(grant) {
                Ok(page) => {
                    kernel.free(page);
                    self.held -= 1;
                }
                Err(grant) => *place = Some(grant),
            }
        }
        let long = self
            .since
            .is_some_and(|since| kernel.now() >= since + PATIENCE);
        if self.held > 0 && long {
            self.since = None;
            log::warn!(
                "{device}: its backend has had {} pages mapped for more than {PATIENCE:?} after their use",
                self.held
            );
        }
    }
}
