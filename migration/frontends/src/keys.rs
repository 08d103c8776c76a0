//! Where the nodes of each queue are.

use migration::xenstore::StoreError;

use crate::error::Problem;
use crate::path::{self, Path};
use crate::Tree;

/// The node by which a backend says how many queues it takes.
const MOST: &str = "multi-queue-max-queues";
/// The node by which a frontend says how many there are.
const COUNT: &str = "multi-queue-num-queues";

/// How many queues there will be: as many as the backend takes, this side wants (`wanted`, at
/// least 1), and no fewer than one.
pub(crate) fn queues<T: Tree>(
    tree: &mut T,
    backend: &str,
    wanted: usize,
) -> Result<usize, Problem> {
    let most = path::number(tree, backend, MOST)?.unwrap_or(1);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    Ok(wanted.min(most).max(1))
}

/// Says how many queues there are, and takes away what an earlier offer of another number has left:
/// a backend looks at the nodes that it finds. With one queue its nodes are in the device's own
/// folder, and nothing is said of a number, as if this side knew of none.
pub(crate) fn announce<T: Tree>(
    tree: &mut T,
    dir: &str,
    count: usize,
    stale: &[&str],
) -> Result<(), Problem> {
    for node in stale {
        let node = Path::new(format_args!("{dir}/{node}"))?;
        remove(tree, node.as_str())?;
    }
    match count {
        0 | 1 => Ok(()),
        _ => path::put(tree, dir, COUNT, count),
    }
}

/// The folder of queue `index`.
pub(crate) fn folder(dir: &str, count: usize, index: usize) -> Result<Path, Problem> {
    match count {
        0 | 1 => Path::new(format_args!("{dir}")),
        _ => Path::new(format_args!("{dir}/queue-{index}")),
    }
}

/// Nodes that an earlier offer may have left, of queues up to the eighth.
pub(crate) const STALE: [&str; 17] = [
    COUNT,
    "ring-ref",
    "tx-ring-ref",
    "rx-ring-ref",
    "event-channel",
    "event-channel-tx",
    "event-channel-rx",
    "queue-0",
    "queue-1",
    "queue-2",
    "queue-3",
    "queue-4",
    "queue-5",
    "queue-6",
    "queue-7",
    "feature-persistent",
    "feature-split-event-channels",
];

fn remove<T: Tree>(tree: &mut T, node: &str) -> Result<(), Problem> {
    match tree.remove(node) {
        Ok(()) | Err(StoreError::NotFound) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
