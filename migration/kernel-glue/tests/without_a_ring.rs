//! What the connection, the duties and the requests do while nobody answers: on a host there is no
//! xenstored, and every hypercall is refused.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::Duration;

use kernel_glue::asked::{is_settled, Asked, Requests};
use kernel_glue::duty::Duty;
use kernel_glue::kernel::{Kernel, Ring, Upcalls};
use kernel_glue::store::{store_error, Store, Watch};
use kernel_glue::time::SystemTime;
use kernel_glue::waiting::ByUpcall;
use kernel_glue::wants::Wants;
use migration::shutdown::Accepts;
use migration::standing::FIRST_PAUSE;
use migration::xenstore::{StoreError, Xenstore};
use migration::{Blame, Blamed, Cause, Party, Phase, SuspendFailed};
use xen_bindings::event_channel::{self, Port};
use xen_bindings::xenstore::{BadRequest, Buffers, Error, Request};
use xen_bindings::{console, xenstore, Call, HypercallError, Result as CallResult};

thread_local! {
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static REFUSED: Cell<bool> = const { Cell::new(false) };
    static REPORTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// A kernel whose domain has no rings, or whose Xen refuses to say.
#[derive(Clone, Copy)]
struct Mock;

fn refusal() -> HypercallError {
    Call::new("HVMOP_get_param").check(-1).unwrap_err()
}

impl Kernel for Mock {
    fn now(self) -> Duration {
        NOW.get()
    }
    fn to_system(self, guest: Duration) -> SystemTime {
        SystemTime(guest.as_nanos() as u64)
    }
    fn store_ring(self) -> CallResult<Option<Ring<xenstore::Page>>> {
        match REFUSED.get() {
            true => Err(refusal()),
            false => Ok(None),
        }
    }
    fn console_ring(self) -> CallResult<Option<Ring<console::Page>>> {
        Ok(None)
    }
    fn report(self, party: Party, place: &str, message: &dyn fmt::Display) {
        REPORTS.with_borrow_mut(|told| told.push(format!("{party} {place}: {message}")));
    }
}

impl Upcalls for Mock {
    fn listen(self, port: Port) -> CallResult<()> {
        panic!("there is no ring, and yet {port} is taken up")
    }
}

const WATCHES: &[Watch] = &[Watch {
    path: "control/shutdown",
    token: "shutdown",
}];

fn store() -> Store<Mock, ByUpcall<Mock>> {
    let buffers = Box::leak(Box::new(Buffers::new()));
    Store::new(Mock, ByUpcall::new(Mock), WATCHES, buffers)
}

fn told() -> Vec<String> {
    REPORTS.take()
}

#[test]
fn a_domain_without_xenstore_is_told_of_as_the_toolstack_s() {
    let mut store = store();
    let early = store.read(None, "domid", &mut [0; 8]).unwrap_err();
    assert_eq!(
        early.to_string(),
        "no xenstore: its ring is not taken up yet"
    );
    store.attach().unwrap();
    assert!(!store.is_there() && !store.is_broken());
    let error = store.read(None, "domid", &mut [0; 8]).unwrap_err();
    assert_eq!(
        (error.party(), error.to_string()),
        (
            Party::Toolstack,
            "no xenstore: the domain has none".to_owned()
        )
    );
    let pursued = Wants::everything(Accepts::USUAL).pursue(&mut store);
    assert!(!pursued.answered && !pursued.mended);
}

#[test]
fn a_ring_that_xen_does_not_name_is_asked_for_again_and_xen_is_blamed() {
    REFUSED.set(true);
    let mut store = store();
    assert_eq!(store.attach(), Err(refusal()));
    assert!(store.is_broken());
    let mut wants = Wants::everything(Accepts::USUAL);
    // At once, then after pauses of 1 s and 2 s.
    for (now, tells) in [(0, 1), (0, 0), (1, 1), (2, 0), (4, 1)] {
        NOW.set(Duration::from_secs(now));
        assert!(!wants.pursue(&mut store).answered);
        let told = told();
        assert_eq!(told.len(), tells, "{now}: {told:?}");
        assert!(told
            .iter()
            .all(|line| line == "xen xenstore: HVMOP_get_param: EPERM (1)"));
    }
    REFUSED.set(false);
    NOW.set(Duration::from_secs(60));
    let pursued = wants.pursue(&mut store);
    assert!(pursued.mended, "it is absent, which is no error");
}

#[test]
fn a_request_that_cannot_be_read_stands() {
    let mut store = store();
    store.attach().unwrap();
    let mut requests = Requests::new(Accepts::USUAL);
    assert_eq!(requests.look(&mut store), Asked::Nothing);
    assert_eq!(
        told(),
        ["toolstack control/shutdown: no xenstore: the domain has none"]
    );
    // Not before its pause is over; and the same is not told again at once.
    assert_eq!(requests.look(&mut store), Asked::Nothing);
    assert_eq!(told().len(), 0);
    NOW.set(Duration::from_secs(8));
    assert_eq!(requests.look(&mut store), Asked::Nothing);
    assert_eq!(told().len(), 1, "it was tried again");
}

#[test]
fn a_duty_blames_whom_the_error_names() {
    let mut duty = Duty::new("place");
    duty.ask();
    let failed: Result<(), _> = Err(Blamed(Party::Xen, "refused"));
    assert!(!duty.settle(Mock, failed));
    assert_eq!(told(), ["xen place: refused"]);
    assert!(!duty.is_due(Duration::ZERO) && duty.stands());
    assert!(duty.is_due(FIRST_PAUSE));
    assert!(duty.settle(Mock, Ok::<(), StoreError>(())));
    assert!(!duty.stands());
}

#[test]
fn only_what_was_answered_or_withdrawn_is_settled() {
    let failed = |phase, cause: Cause<&'static str>| SuspendFailed {
        phase,
        step: "step",
        party: cause.party(),
        cause,
    };
    let step = Cause::Step("no");
    assert!(!is_settled(&failed(Phase::Requested, step)));
    assert!(!is_settled(&failed(Phase::Acknowledged, step)));
    let unheard = Cause::Store(StoreError::TimedOut);
    assert!(!is_settled(&failed(Phase::Acknowledged, unheard)));
    assert!(is_settled(&failed(Phase::Acknowledged, Cause::Withdrawn)));
    assert!(is_settled(&failed(Phase::Quiesced, step)));
}

/// Each of the driver's errors, by the party and with the driver's own words.
#[test]
fn errors_of_the_driver_keep_their_cause_and_name_the_party() {
    let op = Request::ResetWatches.op();
    let send = event_channel::send(Port::new(3)).unwrap_err();
    for (error, party, words) in [
        (
            Error::BadRequest {
                op,
                why: BadRequest::BadText,
            },
            Party::Guest,
            "XS_RESET_WATCHES not sent: a path or token is empty or has a zero byte in it",
        ),
        (
            Error::Notify(send),
            Party::Xen,
            "xenstore event: EVTCHNOP_send(port 3): ENOSYS (38)",
        ),
        (
            Error::NoReconnection,
            Party::Toolstack,
            "xenstored does not offer to begin the connection anew",
        ),
        (
            Error::TimedOut { op },
            Party::Toolstack,
            "no answer from xenstored in time",
        ),
    ] {
        let sorted = store_error(&error);
        assert_eq!(sorted.party(), party, "{error}");
        assert!(words.starts_with(&sorted.to_string()), "{sorted}");
    }
}
