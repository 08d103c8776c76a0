//! Calls of the way back, made again when Xen refuses them: there is no other way to go.

use kernel_glue::insist::insist;
use migration::Blame;

use super::error::{Error, Refusal};
use crate::xen::report;

/// The last refusal that was followed by a grant, or by giving up.
pub struct Refusals(Option<Error>);

impl Refusals {
    /// None.
    pub const fn none() -> Self {
        Refusals(None)
    }

    /// Makes a call, again if Xen refuses it.
    ///
    /// # Errors
    /// The last refusal.
    pub fn insist<T, E: Into<Error>>(
        &mut self,
        call: impl FnMut() -> Result<T, E>,
    ) -> Result<T, Error> {
        insist(call, |error| self.0 = Some(error.into())).map_err(Into::into)
    }

    /// Makes a call without which the domain cannot live on, again if Xen refuses it. `what` is
    /// what it is for.
    ///
    /// # Errors
    /// The last refusal.
    pub fn need<T, E: Into<Refusal>>(
        &mut self,
        what: &'static str,
        mut call: impl FnMut() -> Result<T, E>,
    ) -> Result<T, Error> {
        self.insist(|| call().map_err(|error| Error::Needed(what, error.into())))
    }

    /// Reports what was refused and granted at last: once the console works again.
    pub fn report(&mut self) {
        if let Some(error) = self.0.take() {
            report::error(
                error.party(),
                "resume",
                format_args!("granted only when asked again: {error}"),
            );
        }
    }

    /// Was anything refused?
    #[cfg(feature = "switches")]
    pub fn any(&self) -> bool {
        self.0.is_some()
    }
}
