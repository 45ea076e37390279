//! Syncing many files: the file system commits several in the time of one, if they are asked for
//! at the same time. One after the other, thousands of small files take minutes.

use std::sync::atomic::{AtomicUsize, Ordering};

/// So many at the same time; more is no faster.
const THREADS: usize = 8;
/// Fewer are not worth a thread.
const ONE_BY_ONE: usize = 64;

/// Calls `sync` for each of `files`, and returns the first failure in their order. All are tried.
pub(crate) fn sync_many<T: Sync, E: Send>(
    files: &[T],
    sync: impl Fn(&T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    if files.len() < ONE_BY_ONE {
        let results = files.iter().map(sync);
        return results.fold(Ok(()), Result::and);
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failed = None;
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(at) else {
                return failed;
            };
            if let Err(error) = sync(file) {
                failed.get_or_insert((at, error));
            }
        }
    };
    let failures: Vec<(usize, E)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..THREADS).map(|_| scope.spawn(work)).collect();
        let own = work();
        let theirs = workers
            .into_iter()
            .filter_map(|worker| match worker.join() {
                Ok(failed) => failed,
                Err(panic) => std::panic::resume_unwind(panic),
            });
        theirs.chain(own).collect()
    });
    let first = failures.into_iter().min_by_key(|(at, _)| *at);
    first.map_or(Ok(()), |(_, error)| Err(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    #[test]
    fn all_are_tried_once_and_the_first_failure_in_order_is_told() {
        for count in [0, 1, 63, 64, 200] {
            let files: Vec<usize> = (0..count).collect();
            let seen = Mutex::new(Vec::new());
            let result = sync_many(&files, |&file| {
                seen.lock().unwrap().push(file);
                if file % 10 == 7 { Err(file) } else { Ok(()) }
            });
            let seen = seen.into_inner().unwrap();
            assert_eq!(seen.len(), count);
            assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), count);
            assert_eq!(result, if count > 7 { Err(7) } else { Ok(()) }, "{count}");
        }
    }
}
