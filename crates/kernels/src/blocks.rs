//! Splits a batch over the cores.

use rayon::ThreadPool;
use std::{
    ops::Range,
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Number of blocks of a pass with gradients: enough for the cores of a workstation, and few enough that adding up
/// their gradients takes less than 3% of the pass.
const MOST_BLOCKS: usize = 8;

/// Rows, or sets, below which a block of a pass with gradients is not worth a thread.
const LEAST_ROWS: usize = 16;

/// Rows of a block of a pass without gradients: 128 KB for each layer of 128 units, so that a block stays in a core's
/// cache.
const ROWS_WITHOUT_GRADIENTS: usize = 256;

/// The blocks of a batch. They depend only on its size, so that results do not depend on the number of threads.
pub(crate) fn blocks(rows: usize, with_gradients: bool) -> Vec<Range<usize>> {
    let number =
        if with_gradients { (rows / LEAST_ROWS).clamp(1, MOST_BLOCKS) } else { rows.div_ceil(ROWS_WITHOUT_GRADIENTS) };
    (0..number).map(|i| rows * i / number..rows * (i + 1) / number).collect()
}

/// Helper threads, one fewer than rayon's pool has. They have their own pool, because idle threads of rayon's global
/// pool would take time from the calling thread, which works too. `None` on one core, or if the system provides no
/// threads.
static HELPERS: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let helpers = rayon::current_num_threads() - 1;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(helpers).thread_name(|i| format!("kernels {i}"));
    (helpers > 0).then(|| pool.build().ok()).flatten()
});

/// Runs `work` on each block, on all cores. Results are in the order of the blocks.
///
/// The calling thread works too instead of sleeping until the helpers are done: a step has three such passes (six by
/// Burn's graph), and waking a thread takes up to 50 µs. If the caller is itself a thread of rayon's pool, it works
/// alone.
pub(crate) fn on_each<R: Send>(blocks: &[Range<usize>], work: impl Fn(Range<usize>) -> R + Sync) -> Vec<R> {
    let helpers = if blocks.len() < 2 || rayon::current_thread_index().is_some() { None } else { HELPERS.as_ref() };
    let Some(helpers) = helpers else { return blocks.iter().cloned().map(work).collect() };
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(blocks.len())));
    let take_blocks = || {
        while let Some(block) = blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = work(block.clone());
            done.lock().unwrap_or_else(PoisonError::into_inner).push((block.start, result));
        }
    };
    helpers.in_place_scope(|scope| {
        for _ in 0..helpers.current_num_threads().min(blocks.len() - 1) {
            scope.spawn(|_| take_blocks());
        }
        take_blocks();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(start, _)| *start);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_all_rows_once() {
        for rows in [1, 15, 16, 31, 32, 33, 255, 256, 257, 1000, 5000] {
            for with_gradients in [false, true] {
                let blocks = blocks(rows, with_gradients);
                assert_eq!(blocks.iter().cloned().flatten().collect::<Vec<_>>(), (0..rows).collect::<Vec<_>>());
                assert!(blocks.iter().all(|block| !block.is_empty()));
            }
        }
        assert_eq!(blocks(32, true).len(), 2);
        assert_eq!(blocks(10_000, true).len(), MOST_BLOCKS);
    }
}
