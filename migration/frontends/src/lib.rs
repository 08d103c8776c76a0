//! Block and network frontends for a kernel that runs as a Xen guest, which go on after a save, a
//! restore and a migration.
//!
//! # Principles
//!
//! - **What is asked outlives the backend.** A disk keeps a copy of each request, and its data in
//!   pages of its own, until it is answered. A new backend is asked for what the old one had not
//!   answered, in pieces that the new one takes. Each request is answered once.
//! - **The backend is not trusted.** Every index, number, length and state from it is checked
//!   before use. A lie ends the connection, and the error names the backend. Nothing here panics
//!   on what it sends.
//! - **Only what is meant for the backend is shared with it.** A caller's buffer is copied, never
//!   granted; a granted page holds one request's data or one frame, and nothing else.
//! - **A page is used again when the backend has let go of it**, and not before.
//! - **Nothing waits.** [`Device::poll`] does what can be done now. Each thing that is waited for has
//!   a [limit](Limits) with a [name](Wait).
//! - No allocation, no unsafe code, no hypercall: the kernel brings those through one trait,
//!   [`Kernel`].
//!
//! # Use
//!
//! ```
//! use frontends::blk::{self, Blkfront, Request};
//! use frontends::net::{self, Netfront};
//! use frontends::{Device, Driver, Kernel, Limits};
//!
//! /// What a kernel does when a device's event, its watch or the timer has come.
//! fn tend<K: Kernel, D: Driver<K>>(kernel: &mut K, device: &mut Device<K, D>) {
//!     if let Err(error) = device.poll(kernel) {
//!         log::warn!("{error}"); // names the device, the backend's domain and what it did
//!     }
//! }
//!
//! /// Writes a sector and asks for it to be on the disk. The answers come later, by their tags.
//! fn save<K: Kernel>(kernel: &mut K, disk: &mut Blkfront<K>) -> Result<(), blk::Rejected> {
//!     disk.submit(kernel, 1, Request::Write { sector: 8, data: &[7; 512] })
//! }
//! fn answers<K: Kernel>(kernel: &mut K, disk: &mut Blkfront<K>) -> Result<(), blk::Rejected> {
//!     while let Some(answer) = disk.answer(kernel, &mut []) {
//!         match (answer.tag, answer.result) {
//!             // A flush covers what was answered before it.
//!             (1, Ok(_)) => disk.submit(kernel, 2, Request::Flush)?,
//!             (tag, result) => log::info!("{tag}: {result:?}"),
//!         }
//!     }
//!     Ok(())
//! }
//!
//! /// Sends every frame back.
//! fn echo<K: Kernel>(kernel: &mut K, nic: &mut Netfront<K>) -> Result<(), frontends::Error> {
//!     let mut frame = [0; 1518];
//!     while let Some(received) = nic.receive(kernel, &mut frame)? {
//!         let _ = nic.send(kernel, &frame[..received.bytes]); // full: dropped, as on a wire
//!     }
//!     Ok(())
//! }
//!
//! /// Devices are made before anything is known of them: in a static, too.
//! const fn devices<K: Kernel>() -> (Blkfront<K>, Netfront<K>) {
//!     (
//!         Blkfront::new(51712, blk::Wishes::ALL, Limits::DEFAULT),
//!         Netfront::new(0, net::Wishes::ALL, Limits::DEFAULT),
//!     )
//! }
//! ```
//!
//! A kernel calls [`poll`](Device::poll) when the device's event has come, when its watch has
//! ([`watch_fired`](Device::watch_fired)), and every few milliseconds while the device is not
//! [connected](Phase::Connected). [`Roster`] says which devices there are, and which come and go.
//!
//! # States
//!
//! Both sides write a number in xenstore ([`State`]) and read the other's. A device has a [`Phase`]:
//!
//! | phase | what is there | leaves it |
//! |---|---|---|
//! | [`Unknown`](Phase::Unknown) | nothing | the backend's path was read, the watch is set: `Waiting`. No such device: `Gone` |
//! | [`Waiting`](Phase::Waiting) | the watch | the backend is at 2 or 3: rings, ports and grants are made and named: `Offered`. It is at 4, for somebody before us: we write 5. At 5: we write 6. At 6: we write 1 if the toolstack wants the device (`online`) |
//! | [`Offered`](Phase::Offered) | rings with nothing in them | the backend is at 4: `Connected`. At 5 or 6: we give up the rings and write 6: `Waiting` |
//! | [`Connected`](Phase::Connected) | requests in the rings | at 5: `Draining`. At 6, without 5: rings given up, `Waiting`. At 1 to 3: it has begun anew, and so do we. At 4 again, 7 or 8: its nodes are read again |
//! | [`Draining`](Phase::Draining) | nothing is asked any more | all is answered, or the limit is over: we write 6: `Waiting`. At 4: it has thought better of it |
//! | [`Gone`](Phase::Gone) | pages that the backend has mapped still | the device is there again: `Waiting` |
//!
//! A backend whose state is not there is dead: rings given up, `Waiting`, unless the device is not
//! there either (`Gone`), or has another backend (`Unknown`). A state that is no number of one is
//! passed over. A connection that did not last 10 s is followed by a delay that doubles, from 0.1 s
//! to 10 s: a backend that comes and goes does not keep the kernel busy.
//!
//! # Who owns a page when
//!
//! | page | this side | the backend |
//! |---|---|---|
//! | a ring | its own indices are in its own memory and are only published | writes anything at any time; each response is copied once, then checked |
//! | data to write | copied in at `submit`; not changed until it is answered | may read, from the request to its answer; with persistent grants always |
//! | data read | copied out at `answer`, once, after the response | may write, from the request to its answer; with persistent grants always |
//! | a table of indirect segments | written before the request is published | may read |
//! | a frame to send | copied in, when its buffer's last use was answered | may read |
//! | room for a frame | copied out once; goes back into the ring then | may write while it is in the ring |
//!
//! A grant that cannot be ended, because the backend has the page mapped, goes to a list that is
//! tried again at each poll. It holds 64 for each device; beyond that a page is lost, and counted
//! (`lingering`). Data that waits for a new backend and lies in such a page is copied to another
//! first: the old backend can change the page still.
//!
//! # Across a suspend
//!
//! Each device is a [`Participant`](migration::Participant) of
//! [`Stage::Awake`](migration::Stage::Awake).
//!
//! | | disk | interface |
//! |---|---|---|
//! | `suspend` | takes the answers that are there. Writes once more to pages of reads that are done and not taken. From here on nothing is written to a ring and no answer is taken | the same, without the pages |
//! | failed, cancelled | goes on with the same rings. Nothing is sent again, xenstore is not written to | the same |
//! | restored | forgets rings, ports and grants; keeps requests and data. Looks for the new backend and does not wait for it | forgets all. What was being sent is lost |
//! | backend at 2 | as many queues as it takes | the same; split event channels if it has them |
//! | backend at 4 | requests that the disk as it is now cannot do are answered so (it may be read-only, smaller, of other sectors). All others are asked, the earliest first, in as many pieces as the backend's segments make necessary | the event that the backend missed is sent. ARP and neighbour advertisement, at once, after 0.3 s and after 1.3 s |
//! | no backend | after [`Limits::back`] what is kept is answered with [`Gone`](blk::Failure::Gone). A backend that comes later is welcome, with new requests | a backend that comes later is welcome |
//! | no device | what is kept is answered at once | |
//!
//! Two rules are not obvious:
//!
//! - **Answers that come after `suspend` do not count after a restore.** A guest's memory is sent
//!   page by page. The ring's page may be sent after an answer was written to it, and the page with
//!   the data before. So the old ring is not looked at, and the request is made again. Reading and
//!   writing the same data twice does no harm.
//! - **A live migration does not send what a backend wrote to a page that it keeps mapped.** Xen
//!   marks a page as changed when the backend *unmaps* it (`unmap_common`,
//!   `xen/common/grant_table.c`). With persistent grants it does not. So what was read, and was not
//!   taken by the caller before the suspend, is written once more by the guest.
//!
//! A flush is answered by the backend that has the writes: one that was in flight is sent to the new
//! backend. That what the old host had cached reaches the storage before the new one reads it is
//! the toolstack's business, as for every guest.
//!
//! # What is left out
//!
//! - Rings of more than one page; the barrier as an operation of its own (it stands in for a flush).
//! - Checksum and segmentation offload, hashing, multicast filters, static grants, the control ring.
//! - A backend that stays connected and answers nothing is waited for, as a slow disk is.
#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod blk;
mod device;
mod error;
mod front;
mod kernel;
mod keys;
mod limits;
mod lingering;
pub mod net;
mod path;
mod peer;
mod roster;
mod state;

pub use device::{Device, Driver, Phase};
pub use error::{Error, Lie, Name, Problem, Wait};
pub use front::layout;
pub use kernel::{Access, Kernel, Memory, Refused, PAGE};
pub use limits::Limits;
pub use migration::xenstore::Tree;
pub use peer::Peer;
pub use roster::{Change, Roster};
pub use state::State;
