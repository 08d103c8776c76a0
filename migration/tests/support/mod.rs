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
    Blame, Clock, Deadline, Limits, Machine, Outcome, Participant, ParticipantRef, Party, Phase,
    Platform, Resumed, Return, Stage, SuspendFailed,
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

pub struct Guest {
    pub world: Rc<World>,
    pub outcome: Outcome,
    pub answer: Acknowledgement,
}

impl Guest {
    pub fn new(world: &Rc<World>) -> Guest {
        Guest {
            world: world.clone(),
            outcome: Outcome::Cancelled,
            answer: Acknowledgement::Given,
        }
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

    fn entered(&mut self, phase: Phase, since: Duration) {
        self.world.phases.borrow_mut().push((phase, since));
        let paused = self.world.paused_after.get();
        if let Some((_, time)) = paused.filter(|(after, _)| *after == phase) {
            self.world.now.set(self.world.now.get() + time);
        }
    }
    fn acknowledge(&mut self, _: Deadline, tries: u32) -> Result<Acknowledgement, Broken> {
        assert!(tries > 0);
        self.world.step("acknowledge")?;
        Ok(self.answer)
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
    fn detach(&mut self, _: &Proof) -> Result<(), Broken> {
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
}

pub struct Device {
    world: Rc<World>,
    name: &'static str,
    stage: Stage,
    order: u16,
}

impl Device {
    pub fn new(world: &Rc<World>, name: &'static str, stage: Stage, order: u16) -> Device {
        Device {
            world: world.clone(),
            name,
            stage,
            order,
        }
    }
}

impl Participant<Broken> for Device {
    fn name(&self) -> &'static str {
        self.name
    }
    fn stage(&self) -> Stage {
        self.stage
    }
    fn order(&self) -> u16 {
        self.order
    }
    fn suspend(&mut self, _: Deadline) -> Result<(), Broken> {
        self.world.step(self.name)
    }
    fn undo(&mut self) -> Result<(), Broken> {
        self.world.step(&format!("{}: undo", self.name))
    }
    fn restored(&mut self) -> Result<(), Broken> {
        self.world.step(&format!("{}: restored", self.name))
    }
}

/// Runs one suspend with two participants in each stage, handed over in the wrong order.
pub fn run(guest: &mut Guest, limits: Limits) -> Result<Resumed<Broken>, SuspendFailed<Broken>> {
    let world = guest.world.clone();
    let mut console = Device::new(&world, "console", Stage::Alone, 9);
    let mut grants = Device::new(&world, "grants", Stage::Alone, 1);
    let mut disk = Device::new(&world, "disk", Stage::Awake, 7);
    let mut churn = Device::new(&world, "churn", Stage::Awake, 1);
    let mut list: [ParticipantRef<'_, Broken>; 4] =
        [&mut console, &mut disk, &mut grants, &mut churn];
    Machine::new(guest, &mut list, limits).suspend()
}

/// The way down of [`run`], and what takes each step back; `None` where there is nothing to take
/// back.
pub const DOWN: [(&str, Option<&str>, Phase); 12] = [
    ("acknowledge", None, Phase::Acknowledged),
    ("hold_hotplug", Some("release_hotplug"), Phase::Quiesced),
    ("churn", Some("churn"), Phase::Quiesced),
    ("disk", Some("disk"), Phase::Quiesced),
    ("park", Some("unpark"), Phase::Quiesced),
    ("drain", Some("gate opens"), Phase::Drained),
    ("unlink_windows", Some("relink_windows"), Phase::Drained),
    ("audit", None, Phase::Audited),
    ("grants", Some("grants"), Phase::Detached),
    ("console", Some("console"), Phase::Detached),
    ("detach", Some("reattach"), Phase::Detached),
    ("suspend", None, Phase::Suspended),
];

const DEVICES: [&str; 4] = ["churn", "disk", "grants", "console"];

/// The journal of a run in which the first `called` steps were called and the first `done` of them
/// worked.
pub fn expected(called: usize, done: usize, how: Return) -> Vec<String> {
    let mut journal: Vec<String> = DOWN[..called].iter().map(|d| d.0.to_string()).collect();
    for (_, undo, _) in DOWN[..done].iter().rev() {
        let Some(undo) = *undo else { continue };
        journal.push(if undo == "gate opens" {
            undo.to_string()
        } else if DEVICES.contains(&undo) {
            if how == Return::Restored {
                format!("{undo}: restored")
            } else {
                format!("{undo}: undo")
            }
        } else {
            way(undo, how)
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
