//! The balloon: the guest has as much memory as `memory/target` says, so that an image of it can be
//! restored.
//!
//! The books are the `migration` crate's ([`migration::balloon`]), the calls are
//! [`crate::arch::balloon`]'s. At boot everything above the target is given back in one go, before
//! a frame of it was touched: a PVH guest made with less memory than it may come to have is
//! populated on demand. Later vCPU 0 gives and takes a few frames each time round its loop. While
//! the domain is suspended nothing moves: vCPU 0 is not in its loop then.

use migration::balloon::{Balloon, News, NotASize, Step, TooMuch, Why, STATIC_MAX, TARGET};
use migration::xenstore::{StoreError, Xenstore};
use migration::{Blame, Party};
use spin::Mutex;

use core::time::Duration;

use crate::arch::balloon::BATCH;
use crate::arch::{self, balloon as calls};
use crate::cmdline;
use crate::memory::layout::CHUNK;
use crate::memory::Pfn;
use crate::sets::drain;
use crate::sets::frames::{self, Extent};
use crate::xen::duty::Duty;
use crate::xen::store::Store;
use crate::xen::wants;
use crate::xen::{report, time};

/// How long frames are given and taken each time round vCPU 0's loop, nanoseconds. It has other
/// things to do.
const PER_ROUND: u64 = 50_000_000;
/// A call that takes longer moves too many frames, and one that takes less than a fifth of it too
/// few. On a Xen with shadow paging under emulation a frame was seen to take 40 ms, and on another
/// a few microseconds.
const PER_CALL: u64 = 20_000_000;
/// Never fewer: a call may also take long because the vCPU does not run meanwhile.
const LEAST: usize = 16;

/// How long a suspend waits for the target to be reached, nanoseconds of the guest's clock: libxl
/// waits 60 s for an answer.
const BEFORE_SUSPEND: u64 = 10_000_000_000;

/// Longest value of a node that is a number.
const DIGITS: usize = 24;

struct Driver {
    books: Balloon,
    /// To read the target.
    target: Duty,
    /// The memory that the toolstack counts beside the guest's own is known.
    measured: bool,
    /// Frames to give or take with one call.
    batch: usize,
    /// A suspend was refused for want of the target.
    refused: bool,
    /// There was more to give or to take when the time was over.
    moving: bool,
    /// What Xen said the domain has, before the suspend.
    reserved: Option<usize>,
}

static DRIVER: Mutex<Option<Driver>> = Mutex::new(None);

/// Reads the target and gives back what is above it; then all other frames can be had. On vCPU 0,
/// before anything but the first few frames was touched.
pub fn start(extent: Extent, store: &mut Store) {
    if cmdline::options().switches.no_balloon() {
        return frames::release();
    }
    let mut driver = Driver {
        books: Balloon::new(extent.have, extent.most),
        target: Duty::new(TARGET),
        // The toolstack counts just a PV guest's frames.
        measured: arch::is_pv(),
        batch: LEAST,
        refused: false,
        moving: false,
        reserved: None,
    };
    driver.target.ask();
    driver.read(store);
    while driver.step() {}
    driver.settle();
    *DRIVER.lock() = Some(driver);
}

/// The target has changed: it is to be read.
pub fn ask() {
    if let Some(driver) = DRIVER.lock().as_mut() {
        driver.target.ask();
    }
}

/// The target may have changed.
pub fn ask_again() {
    if let Some(driver) = DRIVER.lock().as_mut() {
        driver.target.ask_again();
    }
}

/// Is the next round to come soon?
pub fn is_moving() -> bool {
    let driver = DRIVER.lock();
    driver
        .as_ref()
        .is_some_and(|driver| driver.moving || driver.target.stands())
}

/// Reads the target if that is to be done, and goes a few steps towards it.
///
/// Gives what keeps the guest from being saved, as long as that lasts: it has more memory than it
/// should, and cannot give it back.
pub fn poll(store: &mut Store) -> Option<TooMuch> {
    let mut driver = DRIVER.lock();
    let driver = driver.as_mut()?;
    if driver.target.is_due() {
        driver.read(store);
    }
    let until = time::now() + PER_ROUND;
    driver.moving = true;
    while driver.moving && time::now() < until {
        driver.moving = driver.step();
    }
    driver.settle();
    let too_much = driver.books.check().err()?;
    too_much.why.is_some().then_some(too_much)
}

/// Goes as far towards the target as can be, for a suspend.
///
/// # Errors
/// If the guest has more than its target even so: then it is not to be saved.
pub fn prepare_suspend() -> Result<(), TooMuch> {
    let mut driver = DRIVER.lock();
    let Some(driver) = driver.as_mut() else {
        return Ok(());
    };
    let deadline = time::now() + BEFORE_SUSPEND;
    driver.books.hurry();
    while driver.books.check().is_err() && time::now() < deadline && driver.step() {}
    driver.settle();
    driver.reserved = calls::reservation();
    let checked = driver.books.check();
    driver.refused = checked.is_err();
    checked
}

/// In a restored domain: a page that a live migration had sent, and that was given away before it
/// ended, has come back, and goes again.
pub fn give_again() {
    if let Some(driver) = DRIVER.lock().as_mut() {
        driver.give_again();
    }
}

impl Driver {
    /// Reads the target; if that cannot be had now, it stands to be done.
    fn read(&mut self, store: &mut Store) {
        let read = self.read_nodes(store);
        self.target.settle(read);
    }

    fn read_nodes(&mut self, store: &mut Store) -> Result<(), StoreError> {
        if !self.measured {
            self.read_node(store, STATIC_MAX, Balloon::measure)?;
            self.measured = true;
        }
        self.read_node(store, TARGET, Balloon::wish)
    }

    /// Has `take` take the value of a node. One that is not there wants nothing, and nonsense is
    /// told and forgotten.
    fn read_node(
        &mut self,
        store: &mut Store,
        node: &'static str,
        take: impl FnOnce(&mut Balloon, &[u8]) -> Result<(), NotASize>,
    ) -> Result<(), StoreError> {
        let mut text = [0; DIGITS];
        match store.read(None, node, &mut text) {
            Ok(len) => {
                if let Err(error) = take(&mut self.books, &text[..len.min(DIGITS)]) {
                    let party = error.party();
                    self.target.complain(party, format_args!("{node}: {error}"));
                }
                Ok(())
            }
            Err(StoreError::NotFound) => Ok(()),
            Err(_) if !store.is_there() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives or takes a few frames; false if there is nothing to do, or nothing to be done now.
    fn step(&mut self) -> bool {
        let began = time::now();
        let frames = |frames: u64| usize::try_from(frames).unwrap_or(usize::MAX);
        let went_on = match self.books.next(Duration::from_nanos(began)) {
            Step::Rest => return false,
            Step::Give(count) => self.give(frames(count)),
            Step::Take(count) => self.take(frames(count)),
        };
        self.batch = match time::now() - began {
            long if long > PER_CALL => (self.batch / 2).max(LEAST),
            short if short < PER_CALL / 5 => (self.batch * 2).min(BATCH),
            _ => self.batch,
        };
        went_on
    }

    fn give(&mut self, frames: usize) -> bool {
        if !arch::is_pv() && self.give_chunks(frames / CHUNK as usize) {
            return true;
        }
        let mut room = [Pfn::default(); BATCH];
        let room = &mut room[..frames.min(self.batch)];
        let mut picked = frames::pick(room);
        if picked == 0 && drain::trim_depot() > 0 {
            picked = frames::pick(room);
        }
        let picked = &room[..picked];
        if picked.is_empty() {
            return self.stuck(Why::NoFreeFrames);
        }
        let done = calls::give(picked);
        let (gone, stayed) = picked.split_at(done.frames);
        frames::gone(gone.iter().copied());
        frames::put_back(stayed.iter().copied());
        self.books.gave(gone.len() as u64);
        if stayed.is_empty() {
            return true;
        }
        if let Some(error) = done.error {
            log::warn!("balloon: {error}");
        }
        self.stuck(Why::Refused)
    }

    /// Gives up to `chunks` chunks that nobody has touched; false if there is none.
    fn give_chunks(&mut self, chunks: usize) -> bool {
        let mut room = [Pfn::default(); BATCH];
        let mut count = 0;
        for place in room.iter_mut().take(chunks) {
            let Some(chunk) = frames::pick_chunk() else {
                break;
            };
            *place = chunk;
            count += 1;
        }
        let picked = &room[..count];
        if picked.is_empty() {
            return false;
        }
        let done = calls::give_chunks(picked);
        let all = |chunk: &Pfn| (chunk.0..chunk.0 + CHUNK).map(Pfn);
        let (gone, stayed) = picked.split_at(done.frames);
        frames::gone(gone.iter().flat_map(all));
        frames::put_back(stayed.iter().flat_map(all));
        self.books.gave(gone.len() as u64 * u64::from(CHUNK));
        // What Xen does not take as a whole is given frame by frame.
        !gone.is_empty()
    }

    fn take(&mut self, frames: usize) -> bool {
        // The guest may have more than it has: nothing needs to be kept untouched.
        frames::release();
        let mut room = [Pfn::default(); BATCH];
        let room = &mut room[..frames.min(self.batch)];
        let count = frames::pick_away(room);
        let chosen = &room[..count];
        let done = calls::take(chosen);
        let (came, stayed) = chosen.split_at(done.frames);
        if !arch::is_pv() && !cmdline::options().switches.balloon_is_unnoted() {
            if let Err(error) = calls::have_noted(came) {
                log::warn!("balloon: {error}: a live migration may leave frames behind");
            }
        }
        frames::came(came);
        frames::stay_away(stayed);
        self.books.took(came.len() as u64);
        if stayed.is_empty() && !came.is_empty() {
            return true;
        }
        if let Some(error) = done.error {
            log::warn!("balloon: {error}");
        }
        self.stuck(Why::NoneToHave)
    }

    fn stuck(&mut self, why: Why) -> bool {
        self.books.stuck(why, Duration::from_nanos(time::now()));
        false
    }

    /// What follows from where the guest has come.
    fn settle(&mut self) {
        if self.books.check().is_ok() && !self.target.stands() {
            frames::release();
            if core::mem::take(&mut self.refused) {
                // Who asked may still be waiting.
                wants::look_again();
            }
        }
        let Some(news) = self.books.news() else {
            return;
        };
        let (is, why) = match news {
            News::Reached => ("reached", None),
            News::AtMost => ("at-most", None),
            News::Stuck(why) => ("stuck", Some(why)),
        };
        let event = report::event("balloon")
            .text("is", is)
            .num("target_kib", self.books.target_kib().unwrap_or_default())
            .num("kib", self.books.kib())
            .num("away", frames::all_away().count() as u64);
        match why {
            Some(why) => event.text("party", why.party()).text("msg", why),
            None => event,
        }
        .send();
    }

    fn give_again(&mut self) {
        let extra = match (self.reserved.take(), calls::reservation()) {
            (Some(before), Some(now)) if now > before => now - before,
            (Some(before), Some(now)) if now < before => {
                let text = format_args!(
                    "{} frames less than before the suspend: what came during a live migration was not sent",
                    before - now
                );
                return report::error(Party::Xen, "balloon", text);
            }
            _ => return,
        };
        let mut gone = 0;
        for pfn in frames::all_away() {
            gone += usize::from(calls::give_again(pfn));
            if gone == extra {
                break;
            }
        }
        log::info!(
            "balloon: {extra} frames more than before the suspend, {gone} of them given back again"
        );
    }
}
