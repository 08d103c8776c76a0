//! Runs a call one instruction at a time, with a handler in between.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::Once;

/// When the handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nmi {
    /// In one run, after each instruction.
    AfterEach,
    /// After one instruction alone. At each instruction the process forks: the child runs the
    /// handler, the rest of the call and the check, and the parent goes on to the next instruction.
    /// So every instruction has a run of its own, at the cost of one.
    AfterOne,
}

/// A run that is being stepped. Lives on the stack of the thread that is stepped, whose signal
/// handler finds it.
struct Stepped {
    steps: usize,
    nmi: Nmi,
    /// The one step after which the handler runs in this process; for a child, and to show what a
    /// child saw.
    only: Option<usize>,
    is_child: bool,
    /// Steps whose children failed.
    failed: usize,
    first_failed: usize,
    world: *mut c_void,
    handler: unsafe fn(*mut c_void, *const ()),
    function: *const (),
}

thread_local! {
    static STEPPED: Cell<*mut Stepped> = const { Cell::new(std::ptr::null_mut()) };
}

const TRAP_FLAG: i64 = 1 << 8;

/// A debug build has ten times as many instructions; it forks at one in so many.
const STRIDE: usize = if cfg!(debug_assertions) { 29 } else { 1 };

extern "C" fn trap(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let stepped = STEPPED.get();
    if stepped.is_null() {
        return;
    }
    // SAFETY: `run` put it there and is still on this thread's stack. The code that was interrupted
    // does not look at it.
    let stepped = unsafe { &mut *stepped };
    stepped.steps += 1;
    let here = match (stepped.only, stepped.nmi) {
        (Some(only), _) => only == stepped.steps,
        (None, Nmi::AfterEach) => true,
        (None, Nmi::AfterOne) if stepped.steps % STRIDE == 0 => fork(stepped),
        (None, Nmi::AfterOne) => false,
    };
    if here {
        // SAFETY: `run` paired the two.
        unsafe { (stepped.handler)(stepped.world, stepped.function) };
    }
    if stepped.only == Some(stepped.steps) {
        // The rest runs at full speed.
        // SAFETY: the kernel's description of the interrupted thread.
        let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
        context.uc_mcontext.gregs[libc::REG_EFL as usize] &= !TRAP_FLAG;
    }
}

/// True in the child, which is to run the handler. The parent waits until the child has ended.
fn fork(stepped: &mut Stepped) -> bool {
    // SAFETY: the child goes on with this thread alone, and ends with `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork");
    if child == 0 {
        stepped.is_child = true;
        stepped.only = Some(stepped.steps);
        return true;
    }
    let mut status = 0;
    // SAFETY: our own child.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    if waited != child || status != 0 {
        stepped.failed += 1;
        if stepped.first_failed == 0 {
            stepped.first_failed = stepped.steps;
        }
    }
    false
}

fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler touches its thread's own run and nothing else.
        let result = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = trap as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaction(libc::SIGTRAP, &action, std::ptr::null_mut())
        };
        assert_eq!(result, 0);
    });
}

/// Has the processor trap after each instruction from the next one on.
#[inline(always)]
fn trap_flag_on() {
    // SAFETY: pushes and pops; the trap goes to `trap`.
    unsafe { std::arch::asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq") };
}

#[inline(always)]
fn trap_flag_off() {
    // SAFETY: pushes and pops.
    unsafe { std::arch::asm!("pushfq", "and qword ptr [rsp], ~0x100", "popfq") };
}

/// What is interrupted, by what, and what must hold afterwards.
pub struct Interrupted<W> {
    pub name: &'static str,
    pub world: fn() -> Box<W>,
    pub call: fn(&mut W),
    pub handler: fn(&mut W),
    pub check: fn(&mut W),
}

impl<W> Interrupted<W> {
    /// Runs the call, with the handler where `nmi` says. Gives the number of steps.
    pub fn run(&self, nmi: Nmi) -> usize {
        install();
        let stepped = self.step(nmi, None);
        if stepped.failed > 0 {
            // Once more in this process, so that its message is seen.
            self.step(nmi, Some(stepped.first_failed));
            panic!(
                "{}: fails after instruction {}, and after {} in all",
                self.name, stepped.first_failed, stepped.failed
            );
        }
        assert!(stepped.steps > 5, "{}: nothing was stepped", self.name);
        stepped.steps
    }

    fn step(&self, nmi: Nmi, only: Option<usize>) -> Stepped {
        unsafe fn handle<W>(world: *mut c_void, function: *const ()) {
            // SAFETY: `function` is the handler of this world's type. As with a real interrupt,
            // what it does to the world while the call is in the middle of something is what is
            // tested.
            unsafe {
                let handler: fn(&mut W) = std::mem::transmute(function);
                handler(&mut *world.cast::<W>());
            }
        }
        let mut world = (self.world)();
        let raw: *mut W = &mut *world;
        let mut stepped = Stepped {
            steps: 0,
            nmi,
            only,
            is_child: false,
            failed: 0,
            first_failed: 0,
            world: raw.cast(),
            handler: handle::<W>,
            function: self.handler as *const (),
        };
        STEPPED.set(&mut stepped);
        let call = std::hint::black_box(self.call);
        trap_flag_on();
        // SAFETY: the box lives on.
        call(std::hint::black_box(unsafe { &mut *raw }));
        trap_flag_off();
        STEPPED.set(std::ptr::null_mut());
        let stepped = std::hint::black_box(stepped);
        let check = std::panic::AssertUnwindSafe(|| (self.check)(&mut world));
        let checked = std::panic::catch_unwind(check);
        if stepped.is_child {
            // SAFETY: nothing of the child is needed any more.
            unsafe { libc::_exit(i32::from(checked.is_err())) };
        }
        if checked.is_err() {
            // Leaked: what is wrong in it may not bear to be dropped.
            std::mem::forget(world);
            panic!("{}, with an NMI {nmi:?} {only:?}: see above", self.name);
        }
        stepped
    }
}
