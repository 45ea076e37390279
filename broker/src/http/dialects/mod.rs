//! The HTTP dialects of the brokers that Weir replaces: each one adapter without rules of its own.

pub(super) mod minimq;
