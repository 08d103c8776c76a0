//! A guest and a xenstore to drive the library with. Every call is written to a journal, so that
//! tests compare whole histories.
#![allow(dead_code)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use migration::shutdown::Acknowledgement;
use migration::xenstore::{StoreError, Xenstore};
use migration::{
    Blame, Clock, Deadline, Limits, Machine, Member, Outcome, Participant, Party, Phase, Platform,
    Resumed, Return, Role, Stage, SuspendFailed,
};

/// What a step is made to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// It fails.
    Fail,
    /// It works, but this much time passes.
    Slow(Duration),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is broken", self.0)
    }
}

impl Blame for Broken {
    fn party(&self) -> Party {
        if self.0 == "suspend" {
            Party::Xen
        } else {
            Party::Guest
        }
    }
}

/// What all parts of the mock share.
#[derive(Default)]
pub struct World {
    pub journal: RefCell<Vec<String>>,
    pub now: Cell<Duration>,
    pub sabotage: RefCell<BTreeMap<String, Sabotage>>,
    pub phases: RefCell<Vec<(Phase, Duration)>>,
    pub hypercalls: Cell<u32>,
    /// The domain is paused for so long as soon as it is in this phase.
    pub paused_after: Cell<Option<(Phase, Duration)>>,
    /// What the platform was told that it cannot live without.
    pub lost: RefCell<Vec<&'static str>>,
    /// How often the machine let a moment pass: each is 100 ms.
    pub relaxed: Cell<u32>,
}

impl World {
    pub fn new() -> Rc<World> {
        let world = World::default();
        world.now.set(Duration::from_secs(1000));
        Rc::new(world)
    }

    pub fn sabotage(&self, step: &str, how: Sabotage) {
        self.sabotage.borrow_mut().insert(step.to_string(), how);
    }

    pub fn take_journal(&self) -> Vec<String> {
        self.journal.take()
    }

    /// A step is called: it takes a millisecond, or as the sabotage says.
    pub fn step(&self, name: &str) -> Result<(), Broken> {
        self.journal.borrow_mut().push(name.to_string());
        let sabotage = self.sabotage.borrow().get(name).copied();
        let takes = match sabotage {
            Some(Sabotage::Slow(time)) => time,
            _ => Duration::from_millis(1),
        };
        self.now.set(self.now.get() + takes);
        if sabotage == Some(Sabotage::Fail) {
            Err(Broken(name.to_string()))
        } else {
            Ok(())
        }
    }
}

/// Stands for the pool's proof: dropping it is a step too.
pub struct Proof(Rc<World>);

impl Drop for Proof {
    fn drop(&mut self) {
        let _ = self.0.step("gate opens");
    }
}

/// A connection on which the request stands, and its answer is a step like any other.
pub struct Asked {
    world: Rc<World>,
    pub answer: Acknowledgement,
}

impl Xenstore for Asked {
    type Tx = ();

    fn read(&mut self, _: Option<()>, _: &str, buf: &mut [u8]) -> Result<usize, StoreError> {
        let value: &[u8] = match self.answer {
            Acknowledgement::Given => b"suspend",
            Acknowledgement::Withdrawn => b"",
        };
        buf[..value.len()].copy_from_slice(value);
        Ok(value.len())
    }
    fn write(&mut self, _: Option<()>, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }
    fn transaction_start(&mut self) -> Result<(), StoreError> {
        let answered = self.world.step("acknowledge");
        answered.map_err(|_| StoreError::TimedOut)
    }
    fn transaction_end(&mut self, _: (), _: bool) -> Result<(), StoreError> {
        Ok(())
    }
    fn watch(&mut self, _: &str, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

pub struct Guest {
    pub world: Rc<World>,
    pub outcome: Outcome,
    pub asked: Option<Asked>,
    /// What `detach` was told last.
    pub detach_until: Option<Deadline>,
}

impl Guest {
    pub fn new(world: &Rc<World>) -> Guest {
        Guest {
            world: world.clone(),
            outcome: Outcome::Cancelled,
            asked: Some(Asked {
                world: world.clone(),
                answer: Acknowledgement::Given,
            }),
            detach_until: None,
        }
    }

    pub fn answer(&mut self, answer: Acknowledgement) {
        self.asked.as_mut().expect("somebody has asked").answer = answer;
    }

    fn back(&self, step: &str, how: Return) -> Result<(), Broken> {
        self.world.step(&way(step, how))
    }
}

/// The journal's name of an undo step: with the way back that it was told.
pub fn way(step: &str, how: Return) -> String {
    match how {
        Return::Failed => format!("{step}: failed"),
        Return::Cancelled => format!("{step}: cancelled"),
        Return::Restored => format!("{step}: restored"),
    }
}

impl Clock for Guest {
    fn now(&self) -> Duration {
        self.world.now.get()
    }
}

impl Platform for Guest {
    type Error = Broken;
    type Drained = Proof;
    type Store = Asked;

    fn entered(&mut self, phase: Phase, since: Duration) {
        self.world.phases.borrow_mut().push((phase, since));
        let paused = self.world.paused_after.get();
        if let Some((_, time)) = paused.filter(|(after, _)| *after == phase) {
            self.world.now.set(self.world.now.get() + time);
        }
    }
    fn xenstore(&mut self) -> Option<&mut Asked> {
        self.asked.as_mut()
    }
    fn hold_hotplug(&mut self, _: Deadline) -> Result<(), Broken> {
        self.world.step("hold_hotplug")
    }
    fn release_hotplug(&mut self, how: Return) {
        let _ = self.back("release_hotplug", how);
    }
    fn park(&mut self, _: Deadline) -> Result<(), Broken> {
        self.world.step("park")
    }
    fn unpark(&mut self, how: Return, _: Deadline) -> Result<(), Broken> {
        self.back("unpark", how)
    }
    fn drain(&mut self, _: Deadline) -> Result<Proof, Broken> {
        self.world.step("drain")?;
        Ok(Proof(self.world.clone()))
    }
    fn unlink_windows(&mut self, _: &Proof) -> Result<(), Broken> {
        self.world.step("unlink_windows")
    }
    fn relink_windows(&mut self, _: &Proof, how: Return) -> Result<(), Broken> {
        self.back("relink_windows", how)
    }
    fn audit(&mut self, _: &Proof, _: Deadline) -> Result<(), Broken> {
        self.world.step("audit")
    }
    fn detach(&mut self, _: &Proof, deadline: Deadline) -> Result<(), Broken> {
        self.detach_until = Some(deadline);
        self.world.step("detach")
    }
    fn reattach(&mut self, how: Return) -> Result<(), Broken> {
        self.back("reattach", how)
    }
    fn suspend(&mut self, _: &Proof) -> Result<Outcome, Broken> {
        self.world.hypercalls.set(self.world.hypercalls.get() + 1);
        self.world.step("suspend")?;
        Ok(self.outcome)
    }
    fn reread(&mut self, how: Return) -> Result<(), Broken> {
        self.back("reread", how)
    }
    fn lost(&mut self, step: &'static str, _: &Broken) {
        self.world.lost.borrow_mut().push(step);
    }
    fn relax(&mut self) {
        self.world.relaxed.set(self.world.relaxed.get() + 1);
        self.world
            .now
            .set(self.world.now.get() + Duration::from_millis(100));
    }
}

/// A participant. In each stage its step has the device's name and the stage's initial.
pub struct Device {
    role: Role,
    /// How often it says that it is not back, after each restore.
    pub hesitates: u32,
    left: u32,
}

impl Device {
    pub fn new(role: Role) -> Device {
        Device {
            role,
            hesitates: 0,
            left: 0,
        }
    }
}

fn in_stage(name: &str, stage: Stage) -> String {
    match stage {
        Stage::Requested => format!("{name}/requested"),
        Stage::Awake => name.to_string(),
        Stage::Alone => format!("{name}/alone"),
    }
}

impl Participant<Guest> for Device {
    fn role(&self) -> Role {
        self.role
    }
    fn suspend(&mut self, stage: Stage, guest: &mut Guest, _: Deadline) -> Result<(), Broken> {
        guest.world.step(&in_stage(self.role.name, stage))
    }
    fn undo(&mut self, stage: Stage, guest: &mut Guest) -> Result<(), Broken> {
        guest.back(&in_stage(self.role.name, stage), Return::Failed)
    }
    fn cancelled(&mut self, stage: Stage, guest: &mut Guest) -> Result<(), Broken> {
        guest.back(&in_stage(self.role.name, stage), Return::Cancelled)
    }
    fn restored(&mut self, stage: Stage, guest: &mut Guest) -> Result<(), Broken> {
        self.left = self.hesitates;
        guest.back(&in_stage(self.role.name, stage), Return::Restored)
    }
    fn is_back(&mut self, guest: &mut Guest) -> Result<bool, Broken> {
        let failing = format!("{}: is back", self.role.name);
        if guest.world.sabotage.borrow().get(&failing) == Some(&Sabotage::Fail) {
            return Err(Broken(failing));
        }
        let back = self.left == 0;
        self.left = self.left.saturating_sub(1);
        Ok(back)
    }
}

/// Two participants of one stage each, one of two, and one of all three.
pub fn devices() -> [Device; 4] {
    const ALL: &[Stage] = &[Stage::Requested, Stage::Awake, Stage::Alone];
    [
        Device::new(Role::new("clock").stages(&[Stage::Alone]).order(9).vital()),
        Device::new(Role::new("disk").order(7)),
        Device::new(Role::new("store").stages(&ALL[1..]).order(8)),
        Device::new(Role::new("churn").stages(ALL).order(1)),
    ]
}

/// Runs one suspend with participants in each stage, handed over in the wrong order.
pub fn run(guest: &mut Guest, limits: Limits) -> Result<Resumed<Broken>, SuspendFailed<Broken>> {
    let mut devices = devices();
    let mut list = devices.each_mut().map(|device| Member::new(device));
    Machine::new(guest, &mut list, limits).suspend()
}

/// The way down of [`run`], and what takes each step back; `None` where there is nothing to take
/// back.
pub const DOWN: [(&str, Option<&str>, Phase); 15] = [
    (
        "churn/requested",
        Some("churn/requested"),
        Phase::Acknowledged,
    ),
    ("acknowledge", None, Phase::Acknowledged),
    ("hold_hotplug", Some("release_hotplug"), Phase::Quiesced),
    ("churn", Some("churn"), Phase::Quiesced),
    ("disk", Some("disk"), Phase::Quiesced),
    ("store", Some("store"), Phase::Quiesced),
    ("park", Some("unpark"), Phase::Quiesced),
    ("drain", Some("gate opens"), Phase::Drained),
    ("unlink_windows", Some("relink_windows"), Phase::Drained),
    ("audit", None, Phase::Audited),
    ("churn/alone", Some("churn/alone"), Phase::Detached),
    ("store/alone", Some("store/alone"), Phase::Detached),
    ("clock/alone", Some("clock/alone"), Phase::Detached),
    ("detach", Some("reattach"), Phase::Detached),
    ("suspend", None, Phase::Suspended),
];

/// The name by which a failure or a fault calls a step of the journal.
pub fn called(step: &str) -> &str {
    step.split(['/', ':']).next().expect("there is a first")
}

/// The journal of a run in which the first `called` steps were called and the first `done` of them
/// worked.
pub fn expected(called: usize, done: usize, how: Return) -> Vec<String> {
    let mut journal: Vec<String> = DOWN[..called].iter().map(|d| d.0.to_string()).collect();
    for (_, undo, _) in DOWN[..done].iter().rev() {
        let Some(undo) = *undo else { continue };
        journal.push(match undo {
            "gate opens" => undo.to_string(),
            undo => way(undo, how),
        });
    }
    journal.push(way("reread", how));
    journal
}

/// A xenstored with transactions that conflict as the real one's do: when a node that was read or
/// written in a transaction changed since its start.
///
/// `script` holds what the other side does: before the n-th operation of the guest, write this
/// (`None`: remove).
#[derive(Default)]
pub struct Store {
    pub nodes: BTreeMap<String, Vec<u8>>,
    pub read_only: Vec<String>,
    pub script: Vec<(u32, String, Option<Vec<u8>>)>,
    pub operations: u32,
    pub watches: Vec<(String, String)>,
    /// What the guest committed, in order.
    pub commits: Vec<(String, Vec<u8>)>,
    /// The operation with this number fails with this error.
    pub fail_at: Option<(u32, StoreError)>,
    open: BTreeMap<u32, Open>,
    next_tx: u32,
}

struct Open {
    at_start: BTreeMap<String, Vec<u8>>,
    written: BTreeMap<String, Vec<u8>>,
    touched: Vec<String>,
}

impl Store {
    pub fn with(nodes: &[(&str, &str)]) -> Store {
        Store {
            nodes: nodes
                .iter()
                .map(|(path, value)| (path.to_string(), value.as_bytes().to_vec()))
                .collect(),
            ..Store::default()
        }
    }

    pub fn value(&self, path: &str) -> Option<&str> {
        self.nodes
            .get(path)
            .map(|v| std::str::from_utf8(v).expect("the tests write text"))
    }

    pub fn open_transactions(&self) -> usize {
        self.open.len()
    }

    fn operation(&mut self) -> Result<(), StoreError> {
        let n = self.operations;
        self.operations += 1;
        for (at, path, value) in self.script.clone() {
            if at == n {
                match value {
                    Some(value) => self.nodes.insert(path, value),
                    None => self.nodes.remove(&path),
                };
            }
        }
        match self.fail_at {
            Some((at, error)) if at == n => Err(error),
            _ => Ok(()),
        }
    }
}

impl Xenstore for Store {
    type Tx = u32;

    fn read(&mut self, tx: Option<u32>, path: &str, buf: &mut [u8]) -> Result<usize, StoreError> {
        self.operation()?;
        let value = if let Some(tx) = tx {
            let open = self.open.get_mut(&tx).ok_or(StoreError::NotFound)?;
            open.touched.push(path.to_string());
            open.written.get(path).or(open.at_start.get(path))
        } else {
            self.nodes.get(path)
        };
        let value = value.ok_or(StoreError::NotFound)?;
        let len = value.len().min(buf.len());
        buf[..len].copy_from_slice(&value[..len]);
        Ok(value.len())
    }

    fn write(&mut self, tx: Option<u32>, path: &str, value: &[u8]) -> Result<(), StoreError> {
        self.operation()?;
        if self.read_only.iter().any(|p| p == path) {
            return Err(StoreError::Denied);
        }
        if let Some(tx) = tx {
            let open = self.open.get_mut(&tx).ok_or(StoreError::NotFound)?;
            open.touched.push(path.to_string());
            open.written.insert(path.to_string(), value.to_vec());
        } else {
            self.nodes.insert(path.to_string(), value.to_vec());
            self.commits.push((path.to_string(), value.to_vec()));
        }
        Ok(())
    }

    fn transaction_start(&mut self) -> Result<u32, StoreError> {
        self.operation()?;
        self.next_tx += 1;
        self.open.insert(
            self.next_tx,
            Open {
                at_start: self.nodes.clone(),
                written: BTreeMap::new(),
                touched: Vec::new(),
            },
        );
        Ok(self.next_tx)
    }

    fn transaction_end(&mut self, tx: u32, commit: bool) -> Result<(), StoreError> {
        let result = self.operation();
        let open = self.open.remove(&tx).ok_or(StoreError::NotFound)?;
        result?;
        if !commit {
            return Ok(());
        }
        if open
            .touched
            .iter()
            .any(|path| self.nodes.get(path) != open.at_start.get(path))
        {
            return Err(StoreError::Again);
        }
        for (path, value) in open.written {
            self.nodes.insert(path.clone(), value.clone());
            self.commits.push((path, value));
        }
        Ok(())
    }

    fn watch(&mut self, path: &str, token: &str) -> Result<(), StoreError> {
        self.operation()?;
        self.watches.push((path.to_string(), token.to_string()));
        Ok(())
    }
}
