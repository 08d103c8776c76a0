//! C's tables as the platform and the store of [`migration`]'s suspend machine. All that this library
//! knows of `migration` is here.

use core::ffi::{c_char, c_void};
use core::fmt;
use core::time::Duration;

use migration::shutdown::{self, Accepts, Activity, Answer, Request};
use migration::xenstore::{StoreError, Xenstore};
use migration::{
    Blame, Cause, Clock, Deadline, Incarnation, Limits, Machine, Member, Outcome, Participant,
    Party, Phase, Platform, Return, Role, Stage, SuspendFailed,
};
use pagetable_pool::Drained;

use crate::error::{xgl_error, Failure};
use crate::pool::{xgl_pool, Ops, Waiting};
use crate::proof::xgl_proof;
use crate::tables::*;
use crate::words::Words;

type Read = extern "C" fn(*mut c_void, u32, *const c_char, *mut u8, usize, *mut usize) -> i32;
type Write = extern "C" fn(*mut c_void, u32, *const c_char, *const u8, usize) -> i32;
type Start = extern "C" fn(*mut c_void, *mut u32) -> i32;
type End = extern "C" fn(*mut c_void, u32, i32) -> i32;
type Watch = extern "C" fn(*mut c_void, *const c_char, *const c_char) -> i32;

/// C's store with nothing missing.
pub struct Store {
    ctx: *mut c_void,
    read: Read,
    write: Write,
    start: Start,
    end: End,
    watch: Watch,
}

/// The longest path, with its NUL.
const PATH: usize = 64;

impl Store {
    /// Looks whether the functions are there that must be.
    pub fn of(table: &xgl_store) -> Result<Self, Failure> {
        let all = || {
            Some(Store {
                ctx: table.ctx,
                read: table.read?,
                write: table.write?,
                start: table.transaction_start?,
                end: table.transaction_end?,
                watch: table.watch?,
            })
        };
        all().ok_or(xgl_error::XGL_BAD_TABLE.into())
    }
}

/// A path or token as C reads it.
fn path(text: &str) -> Result<[c_char; PATH], StoreError> {
    let words: Words<PATH> = Words::of(text);
    if words.fits(text.len()) {
        Ok(words.whole())
    } else {
        Err(StoreError::from_wire(b"EINVAL"))
    }
}

/// What C's store returned, as the wire would have said it.
fn said(number: i32) -> Result<(), StoreError> {
    let name: &[u8] = match number {
        0 => return Ok(()),
        XGL_STORE_TIMED_OUT => return Err(StoreError::TimedOut),
        XGL_STORE_NOT_FOUND => b"ENOENT",
        XGL_STORE_AGAIN => b"EAGAIN",
        XGL_STORE_DENIED => b"EACCES",
        XGL_STORE_EXISTS => b"EEXIST",
        XGL_STORE_QUOTA => b"EQUOTA",
        _ => b"EIO",
    };
    Err(StoreError::from_wire(name))
}

/// The number by which C knows a store's error.
pub fn store_number(error: &StoreError) -> i32 {
    match error {
        StoreError::NotFound => XGL_STORE_NOT_FOUND,
        StoreError::Again | StoreError::Conflicts { .. } => XGL_STORE_AGAIN,
        StoreError::Denied => XGL_STORE_DENIED,
        StoreError::Exists => XGL_STORE_EXISTS,
        StoreError::Quota => XGL_STORE_QUOTA,
        StoreError::TimedOut => XGL_STORE_TIMED_OUT,
        _ => XGL_STORE_OTHER,
    }
}

/// The number by which C knows an error that xenstored named.
pub fn number_on_the_wire(name: &[u8]) -> i32 {
    store_number(&StoreError::from_wire(name))
}

impl Xenstore for Store {
    type Tx = u32;

    fn read(&mut self, tx: Option<u32>, at: &str, buf: &mut [u8]) -> Result<usize, StoreError> {
        let (at, tx, mut len) = (path(at)?, tx.unwrap_or(0), 0);
        let (value, size) = (buf.as_mut_ptr(), buf.len());
        said((self.read)(
            self.ctx,
            tx,
            at.as_ptr(),
            value,
            size,
            &mut len,
        ))?;
        Ok(len)
    }

    fn write(&mut self, tx: Option<u32>, at: &str, value: &[u8]) -> Result<(), StoreError> {
        let (at, tx) = (path(at)?, tx.unwrap_or(0));
        said((self.write)(
            self.ctx,
            tx,
            at.as_ptr(),
            value.as_ptr(),
            value.len(),
        ))
    }

    fn transaction_start(&mut self) -> Result<u32, StoreError> {
        let mut tx = 0;
        said((self.start)(self.ctx, &mut tx))?;
        // 0 is how C says that there is none.
        if tx == 0 {
            return Err(StoreError::from_wire(b"EINVAL"));
        }
        Ok(tx)
    }

    fn transaction_end(&mut self, tx: u32, commit: bool) -> Result<(), StoreError> {
        said((self.end)(self.ctx, tx, commit.into()))
    }

    fn watch(&mut self, at: &str, token: &str) -> Result<(), StoreError> {
        let (at, token) = (path(at)?, path(token)?);
        said((self.watch)(self.ctx, at.as_ptr(), token.as_ptr()))
    }
}

/// What a step of C's gave, or the pool's refusal to be drained.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// A function returned this.
    Returned(i32),
    /// The pool's error.
    Pool(Failure),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Returned(number) if *number < 0 => write!(f, "Xen returned {number}"),
            Trouble::Returned(number) => write!(f, "the kernel's function returned {number}"),
            Trouble::Pool(failure) => {
                let about = &failure.detail;
                write!(
                    f,
                    "the pool: {:?}, CPU {}, number {}, set {:#x}, count {}",
                    failure.error, about.cpu, about.number, about.set, about.count
                )
            }
        }
    }
}

impl Blame for Trouble {
    fn party(&self) -> Party {
        match self {
            Trouble::Returned(number) if *number < 0 => Party::Xen,
            _ => Party::Guest,
        }
    }
}

/// What a step returned.
fn done(number: i32) -> Result<(), Trouble> {
    match number {
        0 => Ok(()),
        number => Err(Trouble::Returned(number)),
    }
}

/// What an absent step returns.
fn absent() -> i32 {
    0
}

fn back(how: Return) -> u32 {
    match how {
        Return::Failed => XGL_BACK_FAILED,
        Return::Cancelled => XGL_BACK_CANCELLED,
        Return::Restored => XGL_BACK_RESTORED,
    }
}

/// A name of `migration`'s as C reads it.
fn name(text: &str) -> [c_char; 32] {
    Words::of(text).whole()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Reads what the suspend call returned. `incarnations`: CPUID's number before and after, of a PVH guest.
fn outcome(returned: i64, incarnations: (Option<u32>, Option<u32>)) -> Result<Outcome, Trouble> {
    let refused = |_| Trouble::Returned(i32::try_from(returned).unwrap_or(i32::MIN));
    let returned = usize::try_from(returned).map_err(refused)?;
    let (before, after) = incarnations;
    Ok(Outcome::decode(
        returned,
        Incarnation::Seen { before, after },
    ))
}

/// C's kernel as the machine sees it.
pub struct Kernel<'k> {
    steps: &'k xgl_suspend_ops,
    suspend: extern "C" fn(*mut c_void, *const xgl_proof) -> i64,
    pool: &'k xgl_pool,
    ops: &'k Ops,
    store: Option<Store>,
}

impl<'k> Kernel<'k> {
    /// Looks whether the functions are there that must be: `audit`, `suspend` and `reread`.
    pub fn of(
        pool: &'k xgl_pool,
        steps: &'k xgl_suspend_ops,
        store: Option<Store>,
    ) -> Result<Self, Failure> {
        let missing = Failure::from(xgl_error::XGL_BAD_TABLE);
        let suspend = steps.suspend.ok_or(missing)?;
        if steps.audit.is_none() || steps.reread.is_none() {
            return Err(missing);
        }
        let ops = pool.ops()?;
        Ok(Kernel {
            steps,
            suspend,
            pool,
            ops,
            store,
        })
    }

    /// Shows the proof to a function of C's.
    fn lend<R>(&self, proof: &Drained<'_>, function: impl FnOnce(*const xgl_proof) -> R) -> R {
        self.pool.loan.lend(self.ops.here().cpu, proof, function)
    }

    fn incarnation(&self) -> Option<u32> {
        let mut number = 0;
        let ask = self.steps.incarnation?;
        (ask(self.steps.ctx, &mut number) == 0).then_some(number)
    }
}

impl Clock for Kernel<'_> {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.ops.now_ns())
    }
}

impl<'k> Platform for Kernel<'k> {
    type Error = Trouble;
    type Drained = Drained<'k>;
    type Store = Store;

    fn entered(&mut self, phase: Phase, since: Duration) {
        if let Some(entered) = self.steps.entered {
            let phase = name(phase.name());
            entered(self.steps.ctx, phase.as_ptr(), nanoseconds(since));
        }
    }

    fn xenstore(&mut self) -> Option<&mut Store> {
        self.store.as_mut()
    }

    fn hold_hotplug(&mut self, deadline: Deadline) -> Result<(), Trouble> {
        let (ctx, at) = (self.steps.ctx, nanoseconds(deadline.at()));
        done(
            self.steps
                .hold_hotplug
                .map_or_else(absent, |hold| hold(ctx, at)),
        )
    }

    fn release_hotplug(&mut self, how: Return) {
        if let Some(release) = self.steps.release_hotplug {
            release(self.steps.ctx, back(how));
        }
    }

    fn park(&mut self, deadline: Deadline) -> Result<(), Trouble> {
        let (ctx, at) = (self.steps.ctx, nanoseconds(deadline.at()));
        done(self.steps.park.map_or_else(absent, |park| park(ctx, at)))
    }

    fn unpark(&mut self, how: Return, deadline: Deadline) -> Result<(), Trouble> {
        let (ctx, at) = (self.steps.ctx, nanoseconds(deadline.at()));
        done(
            self.steps
                .unpark
                .map_or_else(absent, |unpark| unpark(ctx, back(how), at)),
        )
    }

    fn drain(&mut self, deadline: Deadline) -> Result<Drained<'k>, Trouble> {
        let guard = self.pool.guard().map_err(Trouble::Pool)?;
        let mut wait = Waiting::until(self.ops, nanoseconds(deadline.at()));
        let drained = self.pool.pool.drain(&guard, &mut wait);
        drained.map_err(|error| Trouble::Pool(error.into()))
    }

    fn unlink_windows(&mut self, proof: &Drained<'k>) -> Result<(), Trouble> {
        let Some(unlink) = self.steps.unlink_windows else {
            return Ok(());
        };
        done(self.lend(proof, |number| unlink(self.steps.ctx, number)))
    }

    fn relink_windows(&mut self, proof: &Drained<'k>, how: Return) -> Result<(), Trouble> {
        let Some(relink) = self.steps.relink_windows else {
            return Ok(());
        };
        done(self.lend(proof, |number| relink(self.steps.ctx, number, back(how))))
    }

    fn audit(&mut self, proof: &Drained<'k>, deadline: Deadline) -> Result<(), Trouble> {
        let Some(audit) = self.steps.audit else {
            return Ok(());
        };
        let at = nanoseconds(deadline.at());
        done(self.lend(proof, |number| audit(self.steps.ctx, number, at)))
    }

    fn detach(&mut self, proof: &Drained<'k>, deadline: Deadline) -> Result<(), Trouble> {
        let Some(detach) = self.steps.detach else {
            return Ok(());
        };
        let at = nanoseconds(deadline.at());
        done(self.lend(proof, |number| detach(self.steps.ctx, number, at)))
    }

    fn reattach(&mut self, how: Return) -> Result<(), Trouble> {
        let ctx = self.steps.ctx;
        done(
            self.steps
                .reattach
                .map_or_else(absent, |reattach| reattach(ctx, back(how))),
        )
    }

    fn suspend(&mut self, proof: &Drained<'k>) -> Result<Outcome, Trouble> {
        let before = self.incarnation();
        let returned = self.lend(proof, |number| (self.suspend)(self.steps.ctx, number));
        outcome(returned, (before, self.incarnation()))
    }

    fn lost(&mut self, step: &'static str, error: &Trouble) {
        if let Some(lost) = self.steps.lost {
            let number = match error {
                Trouble::Returned(number) => *number,
                Trouble::Pool(failure) => failure.detail.number,
            };
            lost(self.steps.ctx, name(step).as_ptr(), number);
        }
    }

    fn relax(&mut self) {
        // Whether the kernel would give up is not asked here: nobody is waited for without a limit.
        let _ = self.ops.relax(self.ops.here().cpu);
    }

    fn reread(&mut self, how: Return) -> Result<(), Trouble> {
        let ctx = self.steps.ctx;
        done(
            self.steps
                .reread
                .map_or_else(absent, |reread| reread(ctx, back(how))),
        )
    }
}

/// C's devices, all in one: C knows them and their order.
struct Devices;

impl<'k> Participant<Kernel<'k>> for Devices {
    fn role(&self) -> Role {
        // Clock and events are among them.
        Role::new("devices")
            .stages(&[Stage::Requested, Stage::Awake, Stage::Alone])
            .vital()
    }

    fn suspend(
        &mut self,
        stage: Stage,
        kernel: &mut Kernel<'k>,
        deadline: Deadline,
    ) -> Result<(), Trouble> {
        let (ctx, at) = (kernel.steps.ctx, nanoseconds(deadline.at()));
        let quiet = kernel.steps.quiet;
        done(quiet.map_or_else(absent, |quiet| quiet(ctx, stage_number(stage), at)))
    }

    fn undo(&mut self, stage: Stage, kernel: &mut Kernel<'k>) -> Result<(), Trouble> {
        wake(stage, kernel, XGL_BACK_FAILED)
    }

    fn cancelled(&mut self, stage: Stage, kernel: &mut Kernel<'k>) -> Result<(), Trouble> {
        wake(stage, kernel, XGL_BACK_CANCELLED)
    }

    fn restored(&mut self, stage: Stage, kernel: &mut Kernel<'k>) -> Result<(), Trouble> {
        wake(stage, kernel, XGL_BACK_RESTORED)
    }
}

fn stage_number(stage: Stage) -> u32 {
    match stage {
        Stage::Requested => XGL_STAGE_REQUESTED,
        Stage::Awake => XGL_STAGE_AWAKE,
        Stage::Alone => XGL_STAGE_ALONE,
    }
}

fn wake(stage: Stage, kernel: &mut Kernel<'_>, how: u32) -> Result<(), Trouble> {
    let ctx = kernel.steps.ctx;
    let wake = kernel.steps.wake;
    done(wake.map_or_else(absent, |wake| wake(ctx, stage_number(stage), how)))
}

/// What one suspend came to, for C.
pub type Came = (Result<(), Failure>, xgl_suspended);

/// A whole suspend. Says in xenstore why it was given up, if there is a store.
pub fn run(mut kernel: Kernel<'_>, limits: Limits) -> Came {
    let mut devices = Devices;
    let mut members = [Member::new(&mut devices)];
    let result = Machine::new(&mut kernel, &mut members, limits).suspend();
    match result {
        Ok(resumed) => {
            let how = back(resumed.outcome.into());
            let mut told = told(how, resumed.faults.count());
            if let Some(fault) = resumed.faults.first() {
                tell(&mut told, fault.step, &fault.cause);
            }
            (Ok(()), told)
        }
        Err(failed) => {
            let mut told = told(XGL_BACK_FAILED, 0);
            tell(&mut told, failed.step, &failed.cause);
            report(&mut kernel, &failed);
            (Err(failure_of(&failed.cause)), told)
        }
    }
}

/// Writes to xenstore why the suspend was given up.
fn report(kernel: &mut Kernel<'_>, failed: &SuspendFailed<Trouble>) {
    log::error!("{failed}");
    let Some(store) = kernel.xenstore() else {
        return;
    };
    if let Err(error) = shutdown::report_failure(store, failed) {
        log::warn!("xenstore was not told why: {error}");
    }
}

fn told(how: u32, faults: u32) -> xgl_suspended {
    xgl_suspended {
        how,
        faults,
        party: XGL_PARTY_GUEST,
        number: 0,
        step: [0; 32],
        message: [0; 160],
    }
}

fn tell(told: &mut xgl_suspended, step: &str, cause: &Cause<Trouble>) {
    told.step = name(step);
    told.message = Words::of(cause).whole();
    told.number = failure_of(cause).detail.number;
    told.party = match cause.party() {
        Party::Guest => XGL_PARTY_GUEST,
        Party::Xen => XGL_PARTY_XEN,
        // None of the steps is a device of this crate's.
        Party::Toolstack | Party::Backend => XGL_PARTY_TOOLSTACK,
    };
}

/// The error number of what stopped a suspend.
fn failure_of(cause: &Cause<Trouble>) -> Failure {
    let with = |error: xgl_error, number| {
        let mut failure = Failure::from(error);
        failure.detail.number = number;
        failure
    };
    match cause {
        Cause::Step(Trouble::Returned(number)) => with(xgl_error::XGL_STEP, *number),
        Cause::Step(Trouble::Pool(failure)) => *failure,
        Cause::Store(error) => with(xgl_error::XGL_STORE, store_number(error)),
        Cause::Late(_) => xgl_error::XGL_LATE.into(),
        Cause::Withdrawn => xgl_error::XGL_WITHDRAWN.into(),
        Cause::LimitsTooLong => xgl_error::XGL_LIMITS.into(),
    }
}

impl xgl_limits {
    /// As C reads them.
    pub fn of(limits: Limits) -> Self {
        xgl_limits {
            acknowledge_ns: nanoseconds(limits.acknowledge),
            quiesce_ns: nanoseconds(limits.quiesce),
            drain_ns: nanoseconds(limits.drain),
            audit_ns: nanoseconds(limits.audit),
            detach_ns: nanoseconds(limits.detach),
            until_suspended_ns: nanoseconds(limits.until_suspended),
            unpark_ns: nanoseconds(limits.unpark),
            transaction_tries: limits.transaction_tries,
        }
    }

    /// As the machine reads them.
    pub fn limits(&self) -> Limits {
        Limits {
            acknowledge: Duration::from_nanos(self.acknowledge_ns),
            quiesce: Duration::from_nanos(self.quiesce_ns),
            drain: Duration::from_nanos(self.drain_ns),
            audit: Duration::from_nanos(self.audit_ns),
            detach: Duration::from_nanos(self.detach_ns),
            until_suspended: Duration::from_nanos(self.until_suspended_ns),
            unpark: Duration::from_nanos(self.unpark_ns),
            transaction_tries: self.transaction_tries,
        }
    }
}

/// The default limits, as C reads them.
pub fn default_limits() -> xgl_limits {
    xgl_limits::of(Limits::DEFAULT)
}

fn accepts_of(bits: u32) -> Accepts {
    Accepts {
        poweroff: bits & XGL_ACCEPT_POWEROFF != 0,
        halt: bits & XGL_ACCEPT_HALT != 0,
        reboot: bits & XGL_ACCEPT_REBOOT != 0,
        suspend: bits & XGL_ACCEPT_SUSPEND != 0,
        crash: bits & XGL_ACCEPT_CRASH != 0,
    }
}

fn activity_of(number: u32) -> Result<Activity, Failure> {
    match number {
        XGL_ACTIVITY_RUNNING => Ok(Activity::Running),
        XGL_ACTIVITY_SUSPENDING => Ok(Activity::Suspending),
        XGL_ACTIVITY_GOING_DOWN => Ok(Activity::GoingDown),
        _ => Err(xgl_error::XGL_BAD_NUMBER.into()),
    }
}

/// Reads `control/shutdown` and answers it: the request and the answer, as C's numbers.
pub fn receive(store: &mut Store, activity: u32, accepts: u32) -> Result<(u32, u32), Failure> {
    let (activity, accepts) = (activity_of(activity)?, accepts_of(accepts));
    let tries = Limits::DEFAULT.transaction_tries;
    let received = shutdown::receive(store, activity, &accepts, tries);
    let (request, answer) = received.map_err(|error| failure_of(&Cause::Store(error)))?;
    let request = match request {
        Request::Nothing => XGL_REQUEST_NOTHING,
        Request::Poweroff => XGL_REQUEST_POWEROFF,
        Request::Halt => XGL_REQUEST_HALT,
        Request::Reboot => XGL_REQUEST_REBOOT,
        Request::Suspend => XGL_REQUEST_SUSPEND,
        Request::Crash => XGL_REQUEST_CRASH,
        _ => XGL_REQUEST_UNKNOWN,
    };
    let answer = match answer {
        Answer::Nothing => XGL_ANSWER_NOTHING,
        Answer::Obey => XGL_ANSWER_OBEY,
        Answer::Refuse(why) => {
            log::warn!("control/shutdown: {why}");
            XGL_ANSWER_REFUSE
        }
        Answer::Defer => XGL_ANSWER_DEFER,
    };
    Ok((request, answer))
}

/// Says in `control/feature-*` what is obeyed; gives how many nodes were written.
pub fn advertise(store: &mut Store, accepts: u32) -> Result<u32, Failure> {
    let said = shutdown::advertise(store, &accepts_of(accepts));
    match said.failed {
        Some((_, error)) if said.written == 0 => Err(failure_of(&Cause::Store(error))),
        _ => Ok(said.written),
    }
}
