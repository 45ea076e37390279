use super::CollectError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Remembers which collectors work, and logs each change once. Clones share what they know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    success: Arc<Mutex<BTreeMap<&'static str, bool>>>,
}

impl Health {
    /// Notes how `collector` fared and passes its values on.
    pub(crate) fn note<T>(
        &self,
        collector: &'static str,
        outcome: Result<T, CollectError>,
    ) -> Option<T> {
        let before = self.with(|success| success.insert(collector, outcome.is_ok()));
        match outcome {
            Ok(values) => {
                if before == Some(false) {
                    tracing::info!(collector, "the collector works again");
                }
                Some(values)
            }
            Err(error) => {
                if before != Some(false) {
                    tracing::warn!(collector, %error, "a collector fails; the others go on");
                }
                None
            }
        }
    }

    pub(crate) fn by_collector(&self) -> BTreeMap<String, bool> {
        let named = |(&name, &success): (&&str, &bool)| (name.to_owned(), success);
        self.with(|success| success.iter().map(named).collect())
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<&'static str, bool>) -> T) -> T {
        let mut success = self.success.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_failure_is_remembered_until_it_is_over() {
        let health = Health::default();
        let failure = || Err(CollectError::parse(Path::new("/proc/x"), "odd".into()));
        assert_eq!(health.note("one", Ok(1)), Some(1));
        assert_eq!(health.note::<u8>("two", failure()), None);
        assert_eq!(
            health.by_collector(),
            BTreeMap::from([("one".into(), true), ("two".into(), false)])
        );
        health.note("two", Ok(()));
        assert!(health.by_collector()["two"]);
    }
}
