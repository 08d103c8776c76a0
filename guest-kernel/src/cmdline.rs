//! The command line: `docs/guest-command-line.md`.

use log::LevelFilter;
use spin::Once;

use crate::memory::order::Order;
use crate::switches::Switches;

/// A kind of event channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Events {
    /// FIFO ones; where Xen has none that is said, and the others are used.
    Fifo,
    /// Those that there always are.
    TwoLevel,
}

/// What the command line asked for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Highest level of log lines.
    pub log: LevelFilter,
    /// Run the workload?
    pub churn: bool,
    /// Long-lived address spaces kept per vCPU.
    pub live: usize,
    /// Steps of churn between two waits for the timer.
    pub burst: usize,
    /// Nanoseconds from one report of the churn to the next.
    pub report_every: u64,
    /// How the frames of a set lie.
    pub order: Order,
    /// Frames are taken from the top of the memory down: a large guest uses high ones then.
    pub frames_from_top: bool,
    /// Sets constructed and cached before anything else.
    pub prefill: usize,
    /// Empty the caches as soon as a suspend is asked for.
    pub trim_early: bool,
    /// The kind of event channels.
    pub events: Events,
    /// Serve on the network, under this address.
    pub service: Option<Address>,
    /// Steps to leave out; none in a plain build.
    pub switches: Switches,
}

/// An IPv4 address and its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: [u8; 4],
    /// How many bits of it are the network's.
    pub bits: u8,
}

impl Address {
    /// Reads `10.0.0.2/24`.
    fn parse(word: &str) -> Option<Address> {
        let (ip, bits) = word.split_once('/')?;
        let ip: core::net::Ipv4Addr = ip.parse().ok()?;
        let bits = bits.parse().ok().filter(|bits| (1..=30).contains(bits))?;
        let ip = ip.octets();
        Some(Address { ip, bits })
    }
}

static OPTIONS: Once<Options> = Once::new();

/// The options; defaults before [`parse`] ran.
pub fn options() -> Options {
    OPTIONS.get().copied().unwrap_or(DEFAULTS)
}

const DEFAULTS: Options = Options {
    log: LevelFilter::Info,
    churn: true,
    live: 8,
    burst: 12,
    report_every: 1000 * MILLISECOND,
    order: Order::AsTheyCome,
    frames_from_top: false,
    prefill: 0,
    trim_early: false,
    events: Events::TwoLevel,
    service: None,
    switches: Switches::NONE,
};

const MILLISECOND: u64 = 1_000_000;

/// Most steps of churn between two waits; more would keep a vCPU from what others want of it.
const MAX_BURST: usize = 64;

/// Most sets to begin with: what fits into a vCPU's cache.
pub const MAX_PREFILL: usize = 30;

/// Most long-lived address spaces per vCPU.
pub const MAX_LIVE: usize = 16;

/// Reads the command line. Unknown words are left for [`unknown`], as no console works yet.
pub fn parse(line: &str) -> Options {
    *OPTIONS.call_once(|| {
        let mut options = DEFAULTS;
        line.split_ascii_whitespace().for_each(|word| {
            let _ = apply(&mut options, word);
        });
        options
    })
}

/// The words of a command line that mean nothing here, and why.
pub fn unknown(line: &str) -> impl Iterator<Item = (&str, &'static str)> {
    line.split_ascii_whitespace()
        .filter_map(|word| Some((word, apply(&mut { DEFAULTS }, word).err()?)))
}

fn apply(options: &mut Options, word: &str) -> Result<(), &'static str> {
    match word.split_once('=') {
        Some(("log", level)) => {
            options.log = level
                .parse()
                .map_err(|_| "the levels are off, error, warn, info, debug and trace")?
        }
        Some(("churn", "off")) => options.churn = false,
        Some(("churn", "on")) => options.churn = true,
        Some(("burst", count)) => {
            options.burst = match count.parse() {
                Ok(count @ 1..=MAX_BURST) => count,
                _ => return Err("a number from 1 to 64 is needed"),
            }
        }
        Some(("report", ms)) => {
            options.report_every = match ms.parse() {
                Ok(ms @ 100..=60_000) => ms * MILLISECOND,
                _ => return Err("a number of milliseconds from 100 to 60000 is needed"),
            }
        }
        Some(("frames", "high")) => options.frames_from_top = true,
        Some(("frames", "low")) => options.frames_from_top = false,
        Some(("order", word)) => options.order = Order::parse(word)?,
        Some(("prefill", count)) => {
            options.prefill = match count.parse() {
                Ok(count) if count <= MAX_PREFILL => count,
                _ => return Err("a number from 0 to 30 is needed"),
            }
        }
        Some(("trim", "early")) => options.trim_early = true,
        Some(("trim", "off")) => options.trim_early = false,
        Some(("events", "fifo")) => options.events = Events::Fifo,
        Some(("events", "2l")) => options.events = Events::TwoLevel,
        Some(("service", "off")) => options.service = None,
        Some(("service", address)) => {
            let address = Address::parse(address);
            options.service = Some(address.ok_or("an address like 10.0.0.2/24 is needed")?);
        }
        Some(("live", count)) => {
            options.live = match count.parse() {
                Ok(count) if count <= MAX_LIVE => count,
                _ => return Err("a number from 0 to 16 is needed"),
            }
        }
        _ => options.switches.apply(word)?,
    }
    Ok(())
}
