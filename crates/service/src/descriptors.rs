//! File descriptors: connections and open files take one each, and systems start processes with a
//! low limit that they may raise themselves.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open file descriptors as far as the system lets the process, and warns if
/// that is less than `needed`.
pub fn raise_limit(needed: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    // `None` is without limit.
    if let Some(allowed) = allowed.filter(|&allowed| allowed < needed) {
        tracing::warn!(
            allowed,
            needed,
            "the system allows fewer open files than the settings may need: raise the limit (ulimit -n) or lower max-connections"
        );
    }
}
