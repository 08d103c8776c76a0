//! Steps that a test build can leave out, so that a test shows what fails without them.
//!
//! In a plain build every question here is answered with a constant `false`, and the words on the
//! command line are unknown.

#[cfg(feature = "switches")]
bitflags::bitflags! {
    /// The steps that are left out.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Off: u32 {
        const DRAIN = 1 << 0;
        const DETACH_DRAIN = 1 << 1;
        const PARK = 1 << 2;
        const LATCH = 1 << 3;
        const SHARED_INFO = 1 << 4;
        const VECTOR = 1 << 5;
        const EVTCHN = 1 << 6;
        const WATCHES = 1 << 8;
        const REREAD = 1 << 9;
        const VCPU_RESET = 1 << 10;
        const CANCEL_TRICK = 1 << 11;
        const AUDIT = 1 << 12;
        const UNPIN_ONLY = 1 << 13;
        const TIMER_EARLY = 1 << 14;
        const NMI_BORNE = 1 << 15;
        const NMI_RESET = 1 << 16;
        const M2P_ASKED = 1 << 17;
        const BALLOON = 1 << 18;
        const STORE_RETRIED = 1 << 20;
        const CONSOLE_QUEUED = 1 << 19;
        const BALLOON_NOTED = 1 << 21;
        const TICK_STOPPED = 1 << 22;
        const FRONTENDS = 1 << 23;
    }
}

/// The words and what they leave out.
#[cfg(feature = "switches")]
const WORDS: &[(&str, Off)] = &[
    ("drain=off", Off::DRAIN),
    ("detach=nodrain", Off::DETACH_DRAIN),
    ("park=off", Off::PARK),
    ("resume=no-latch", Off::LATCH),
    ("resume=no-shared-info", Off::SHARED_INFO),
    ("resume=no-vector", Off::VECTOR),
    ("resume=no-evtchn", Off::EVTCHN),
    ("resume=no-watches", Off::WATCHES),
    ("resume=no-reread", Off::REREAD),
    ("resume=no-vcpu-reset", Off::VCPU_RESET),
    ("cancel=no-trick", Off::CANCEL_TRICK),
    ("audit=off", Off::AUDIT),
    ("drain=unpin-only", Off::UNPIN_ONLY),
    ("timer=early", Off::TIMER_EARLY),
    ("nmi=lost", Off::NMI_BORNE),
    ("nmi=pending", Off::NMI_RESET),
    ("m2p=header", Off::M2P_ASKED),
    ("balloon=off", Off::BALLOON),
    ("balloon=unnoted", Off::BALLOON_NOTED),
    ("store=once", Off::STORE_RETRIED),
    ("console=wait", Off::CONSOLE_QUEUED),
    ("tick=always", Off::TICK_STOPPED),
    ("resume=no-frontends", Off::FRONTENDS),
];

/// What a test wants the audit to find.
#[cfg(feature = "switches")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A linear entry in a live set.
    Linear,
    /// A superpage in a live set.
    Superpage,
    /// Xen's own page in an L1 table of a live set.
    Foreign,
    /// A machine frame in `start_info` that is not the domain's.
    StoreFrame,
    /// A frame that the balloon has given away, in an L1 table of a live set (PVH).
    Away,
}

/// The steps to leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    #[cfg(feature = "switches")]
    off: Off,
    #[cfg(feature = "switches")]
    skip_cache: Option<usize>,
    #[cfg(feature = "switches")]
    plant: Option<Plant>,
    #[cfg(feature = "switches")]
    resume_fault: Option<ResumeFault>,
}

/// A hypercall after the suspend call that is to fail.
#[cfg(feature = "switches")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumeFault {
    /// Which, counted from 1.
    pub nth: usize,
    /// Each time it is made, and not only the first time.
    pub for_good: bool,
}

macro_rules! question {
    ($(#[$doc:meta] $name:ident $flag:ident;)*) => {$(
        #[$doc]
        #[cfg_attr(not(feature = "switches"), allow(dead_code))]
        pub fn $name(&self) -> bool {
            #[cfg(feature = "switches")]
            return self.off.contains(Off::$flag);
            #[cfg(not(feature = "switches"))]
            false
        }
    )*};
}

impl Switches {
    /// Nothing is left out.
    pub const NONE: Switches = Switches {
        #[cfg(feature = "switches")]
        off: Off::empty(),
        #[cfg(feature = "switches")]
        skip_cache: None,
        #[cfg(feature = "switches")]
        plant: None,
        #[cfg(feature = "switches")]
        resume_fault: None,
    };

    question! {
        /// Leave out the drain before the suspend call?
        no_drain DRAIN;
        /// Leave out the drain of a leaving CPU's cache?
        no_detach_drain DETACH_DRAIN;
        /// Leave the other vCPUs running through a suspend?
        no_park PARK;
        /// Leave `HVM_PARAM_CALLBACK_IRQ` alone on resume?
        no_latch LATCH;
        /// Leave the shared-info page unmapped on resume?
        no_shared_info SHARED_INFO;
        /// Leave the upcall vectors unset on resume?
        no_vector VECTOR;
        /// Leave the event channels unbound on resume?
        no_evtchn EVTCHN;
        /// Leave the devices as they were on resume?
        no_frontends FRONTENDS;
        /// Leave the xenstore watches unset on resume?
        no_watches WATCHES;
        /// Not read xenstore's nodes again on resume?
        no_reread REREAD;
        /// Believe, after a restore, that offline vCPUs are still initialised?
        no_vcpu_reset VCPU_RESET;
        /// Leave out the audit of the page tables?
        no_audit AUDIT;
        /// Leave sets constructed when they are let go?
        unpin_only UNPIN_ONLY;
        /// Arm the timers for a quarter of the time that is noted?
        timer_early TIMER_EARLY;
        /// Let a vCPU have its tick when it has no work?
        tick_always TICK_STOPPED;
        /// End in a panic at an NMI?
        nmi_is_lost NMI_BORNE;
        /// Leave an NMI pending for a vCPU that starts anew?
        keep_pending_nmi NMI_RESET;
        /// Believe the header of how long Xen's machine-to-physical table is?
        m2p_of_header M2P_ASKED;
        /// Take no notice of `memory/target`?
        no_balloon BALLOON;
        /// Not have Xen note the frames that come as dirty?
        balloon_is_unnoted BALLOON_NOTED;
        /// Try what is to be done by way of xenstore only once?
        store_once STORE_RETRIED;
        /// Wait for dom0 to read the console in the middle of a suspend?
        console_waits CONSOLE_QUEUED;
        /// Leave `HVM_PARAM_CALLBACK_IRQ` zero?
        no_cancel_trick CANCEL_TRICK;
    }

    /// The CPU whose cache every drain of all CPUs passes over.
    #[cfg(feature = "switches")]
    pub fn skip_cache(&self) -> Option<usize> {
        self.skip_cache
    }

    /// Which hypercall after the suspend call fails.
    #[cfg(feature = "switches")]
    pub fn resume_fault(&self) -> Option<ResumeFault> {
        self.resume_fault
    }

    /// What to plant before the audit.
    #[cfg(feature = "switches")]
    pub fn plant(&self) -> Option<Plant> {
        self.plant
    }

    /// Takes a word of the command line.
    #[cfg(feature = "switches")]
    pub fn apply(&mut self, word: &str) -> Result<(), &'static str> {
        if let Some(cpu) = word.strip_prefix("drain=skip:") {
            let cpu = cpu.parse().map_err(|_| "a vCPU number is needed")?;
            self.skip_cache = Some(cpu);
            return Ok(());
        }
        for (prefix, for_good) in [("fault=resume:", false), ("fault=resume-for-good:", true)] {
            if let Some(nth) = word.strip_prefix(prefix) {
                let nth = nth.parse().map_err(|_| "a number is needed")?;
                self.resume_fault = Some(ResumeFault { nth, for_good });
                return Ok(());
            }
        }
        if let Some(what) = word.strip_prefix("plant=") {
            self.plant =
                Some(match what {
                    "linear" => Plant::Linear,
                    "superpage" => Plant::Superpage,
                    "foreign" => Plant::Foreign,
                    "store-frame" => Plant::StoreFrame,
                    "away" => Plant::Away,
                    _ => return Err(
                        "what can be planted is linear, superpage, foreign, store-frame and away",
                    ),
                });
            return Ok(());
        }
        match WORDS.iter().find(|(known, _)| *known == word) {
            Some((_, flag)) => self.off |= *flag,
            None => return Err("unknown word"),
        }
        Ok(())
    }

    /// Takes a word of the command line: none is known to a plain build.
    #[cfg(not(feature = "switches"))]
    pub fn apply(&mut self, _word: &str) -> Result<(), &'static str> {
        Err("unknown word")
    }

    /// The words in force, for the boot event.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        #[cfg(feature = "switches")]
        {
            let off = self.off;
            let skip = self.skip_cache.map(|_| "drain=skip");
            let plant = self.plant.map(|_| "plant");
            WORDS
                .iter()
                .filter(move |(_, flag)| off.contains(*flag))
                .map(|(word, _)| *word)
                .chain(skip)
                .chain(plant)
                .chain(self.resume_fault.map(|_| "fault=resume"))
        }
        #[cfg(not(feature = "switches"))]
        core::iter::empty()
    }
}
