//! Which devices there are: those from the start, and those that come and go.

use migration::xenstore::{StoreError, Xenstore as _};

use crate::error::{Name, Problem};
use crate::kernel::Kernel;
use crate::path::Path;
use crate::Tree as _;

/// What a [scan](Roster::scan) found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A device that was not there at the last scan.
    Came(Name),
    /// A device that is not there any more. Its frontend notices by itself; it is to be
    /// [retired](crate::Device::retire) and dropped.
    Went(Name),
    /// There are more devices than this roster holds: this one is left alone.
    TooMany(Name),
}

/// The devices of one kind, at most `MOST`.
pub struct Roster<const MOST: usize> {
    kind: &'static str,
    known: [Option<u32>; MOST],
}

impl<const MOST: usize> Roster<MOST> {
    /// Of no device yet. `kind` is `vbd` or `vif`.
    pub const fn new(kind: &'static str) -> Self {
        Roster {
            kind,
            known: [None; MOST],
        }
    }

    /// Sets the watch that fires when a device comes or goes; to be set again after a restore. Its
    /// token is `frontends/<kind>`.
    ///
    /// # Errors
    /// xenstored's.
    pub fn watch<K: Kernel>(&self, kernel: &mut K) -> Result<(), Problem> {
        let (path, token) = (self.path()?, self.token()?);
        match kernel.tree().watch(path.as_str(), token.as_str()) {
            Ok(()) | Err(StoreError::Exists) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a watch that fired is this roster's: then it is time for a [scan](Self::scan).
    pub fn is_token(&self, token: &str) -> bool {
        self.token().is_ok_and(|own| own.as_str() == token)
    }

    /// The devices that are known.
    pub fn names(&self) -> impl Iterator<Item = Name> + '_ {
        self.known.iter().flatten().map(|&number| self.name(number))
    }

    /// Looks what there is, and tells the difference to the last time. A restore is not seen as
    /// devices that went and came: those of the same number are the same.
    ///
    /// # Errors
    /// xenstored's; nothing has changed then.
    pub fn scan<K: Kernel>(
        &mut self,
        kernel: &mut K,
        mut each: impl FnMut(Change),
    ) -> Result<(), Problem> {
        let path = self.path()?;
        let (kind, known) = (self.kind, self.known);
        let mut there = [false; MOST];
        let mut new = [None; MOST];
        let mut found = 0;
        let listed = kernel.tree().list(path.as_str(), &mut |child| {
            // Anything else is no device.
            let Ok(number) = child.parse::<u32>() else {
                return;
            };
            if let Some(at) = known.iter().position(|&k| k == Some(number)) {
                there[at] = true;
            } else if let Some(place) = new.get_mut(found) {
                *place = Some(number);
                found += 1;
            } else {
                each(Change::TooMany(Name { kind, number }));
            }
        });
        match listed {
            // Without any device there may be no folder.
            Ok(()) | Err(StoreError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        for (place, there) in self.known.iter_mut().zip(there) {
            if let Some(number) = place.take_if(|_| !there) {
                each(Change::Went(Name { kind, number }));
            }
        }
        for number in new.into_iter().flatten() {
            let name = Name { kind, number };
            match self.known.iter_mut().find(|place| place.is_none()) {
                Some(place) => {
                    *place = Some(number);
                    each(Change::Came(name));
                }
                None => each(Change::TooMany(name)),
            }
        }
        Ok(())
    }

    fn name(&self, number: u32) -> Name {
        Name {
            kind: self.kind,
            number,
        }
    }

    fn path(&self) -> Result<Path, Problem> {
        Path::new(format_args!("device/{}", self.kind))
    }

    fn token(&self) -> Result<Path, Problem> {
        Path::new(format_args!("frontends/{}", self.kind))
    }
}
