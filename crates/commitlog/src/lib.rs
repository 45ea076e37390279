//! The storage engine: durable per-topic logs of JSON lines.
