//! The broker: one core, several front ends.
