//! Water marks and batch sizes.

/// How a pool behaves. All counts are sets.
///
/// ```
/// # use pagetable_pool::Config;
/// const CONFIG: Config = Config::new().construct_batch(8).high_water(60);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub(crate) construct_batch: usize,
    pub(crate) high_water: usize,
    pub(crate) low_water: usize,
}

impl Config {
    /// Batches of 4, no reserve, and as much in the depot as it has room for.
    pub const fn new() -> Self {
        Config {
            construct_batch: 4,
            high_water: usize::MAX,
            low_water: 0,
        }
    }

    /// Sets that a miss constructs at once, if the depot has none; at least 1, at most a magazine.
    pub const fn construct_batch(mut self, sets: usize) -> Self {
        self.construct_batch = sets;
        self
    }

    /// High-water mark: what the depot may hold. A CPU whose cache overflows beyond it destructs a
    /// magazine instead. Each CPU's cache holds two magazines at most, so all that is ever cached
    /// is `high_water + CPUS * 2 * ROUNDS`.
    /// [`Pool::set_high_water`](crate::Pool::set_high_water) sets another while the pool runs.
    pub const fn high_water(mut self, sets: usize) -> Self {
        self.high_water = sets;
        self
    }

    /// Low-water mark: [`Pool::shrink`](crate::Pool::shrink) leaves this many in the depot, and
    /// [`Pool::replenish`](crate::Pool::replenish) constructs up to it.
    pub const fn low_water(mut self, sets: usize) -> Self {
        self.low_water = sets;
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Config::new()
    }
}
