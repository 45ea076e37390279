//! Test support: brokers in and out of process, manual clock, history checker.
