//! Water marks and batch sizes.

/// How a pool behaves. All counts are sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Sets that a miss constructs at once, if the depot has none; at least 1, at most a magazine.
    pub construct_batch: usize,
    /// High-water mark: what the depot may hold. A CPU whose cache overflows beyond it destructs a magazine instead. Each
    /// CPU's cache holds two magazines at most, so all that is ever cached is `high_water + CPUS * 2 * ROUNDS`.
    /// [`Pool::set_high_water`](crate::Pool::set_high_water) sets another while the pool runs.
    pub high_water: usize,
    /// Low-water mark: [`Pool::shrink`](crate::Pool::shrink) leaves this many in the depot, and
    /// [`Pool::replenish`](crate::Pool::replenish) constructs up to it.
    pub low_water: usize,
}

impl Config {
    /// Batches of 4, no reserve, and as much in the depot as it has room for.
    pub const DEFAULT: Config = Config {
        construct_batch: 4,
        high_water: usize::MAX,
        low_water: 0,
    };
}

impl Default for Config {
    fn default() -> Self {
        Config::DEFAULT
    }
}
