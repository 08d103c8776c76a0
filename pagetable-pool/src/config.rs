//! Sizes, water marks and batch sizes.

/// How large a pool is and how it behaves. All counts but those of CPUs and magazines are sets.
///
/// ```
/// # use pagetable_pool::Config;
/// // 32 CPUs; 64 magazines of 15 sets in the depot.
/// const CONFIG: Config<32, 64, 15> = Config::new()
///     .cpus::<32>()
///     .magazines::<64>()
///     .rounds::<15>()
///     .construct_batch(8)
///     .high_water(60);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config<const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize> {
    pub(crate) construct_batch: usize,
    pub(crate) high_water: usize,
    pub(crate) low_water: usize,
}

impl Config<0, 0, 15> {
    /// Magazines of 15, batches of 4, no reserve, and as much in the depot as it has room for. The
    /// number of [`cpus`](Config::cpus) and of [`magazines`](Config::magazines) is the kernel's to
    /// give.
    pub const fn new() -> Self {
        Config {
            construct_batch: 4,
            high_water: usize::MAX,
            low_water: 0,
        }
    }
}

impl<const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize>
    Config<CPUS, MAGAZINES, ROUNDS>
{
    /// The most CPUs that there can be; at least 1. Their numbers go from 0 to `N - 1`.
    pub const fn cpus<const N: usize>(self) -> Config<N, MAGAZINES, ROUNDS> {
        self.resized()
    }

    /// Magazines that the depot has room for; at least 1.
    pub const fn magazines<const N: usize>(self) -> Config<CPUS, N, ROUNDS> {
        self.resized()
    }

    /// Sets that a magazine holds: 1 to 64. Each CPU's cache is two magazines.
    pub const fn rounds<const N: usize>(self) -> Config<CPUS, MAGAZINES, N> {
        self.resized()
    }

    const fn resized<const C: usize, const M: usize, const R: usize>(self) -> Config<C, M, R> {
        let Config {
            construct_batch,
            high_water,
            low_water,
        } = self;
        Config {
            construct_batch,
            high_water,
            low_water,
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

impl Default for Config<0, 0, 15> {
    fn default() -> Self {
        Config::new()
    }
}
