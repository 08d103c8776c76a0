//! A console that dom0 does not read.

use anyhow::Result;

use crate::host::xl::Xl;
use crate::life::state::{Life, XL};
use crate::life::timeline::Step;

/// Answers on the console that fill its ring of 2 KiB for certain: each takes more than 150 bytes.
const FILLING: u32 = 14;

/// A long token.
const TOKEN: &str =
    "what-nobody-reads-now-is-to-be-read-later-and-it-is-long-enough-to-fill-a-ring";

impl Life<'_> {
    /// `xl save -c` with a console ring that is full, and with xenconsoled stopped. The guest must
    /// not wait for it, nor lose a line of the suspend.
    pub(super) fn checkpoint_unread(&mut self, step: &mut Step) -> Result<()> {
        let data = format!("{}/data", self.store()?);
        let save = Xl::checkpoint(&self.config.name, "/dev/null");
        // The ring is full when the guest has answered so often by xenstore: it says so on the
        // console each time.
        let done = self.sh(&format!(
            "kill -STOP $(pidof xenconsoled); i=0; while [ $i -lt {FILLING} ]; do i=$((i + 1)); \
             xenstore-write {data}/ping {TOKEN}$i; \
             until [ \"$(xenstore-read {data}/pong)\" = {TOKEN}$i ]; do usleep 20000; done; done; \
             {save}"
        ));
        self.machine
            .dom0
            .run("kill -CONT $(pidof xenconsoled)", XL)?;
        done?;
        self.cancelled(step)
    }
}
