//! Process plumbing: settings, telemetry, accept loop, shutdown, clock.
