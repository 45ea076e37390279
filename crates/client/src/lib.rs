//! Async client of the broker's native HTTP API.
