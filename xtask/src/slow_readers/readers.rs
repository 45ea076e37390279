//! Clients that take a byte a second of answers that are much larger than any buffer on the way.

use crate::measured::broker::Broker;
use crate::wait::pause;
use anyhow::{Context, bail};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const TOPIC: &str = "slow";
const BATCHES: usize = 32;
const BATCH_MESSAGES: usize = 100;
const PAYLOAD_BYTES: usize = 10 * 1024;
const FETCH: &str = "/v1/topics/slow/messages?limit=10000";
const STREAM: &str = "/v1/topics/slow/stream?from=earliest";
/// The least that the system allows is more than this.
const RECEIVE_BUFFER_BYTES: usize = 1024;
const PATIENCE: Duration = Duration::from_secs(60);
const BYTE_EVERY: Duration = Duration::from_secs(1);
/// How often we look whether we shall stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Publishes what the readers ask for.
pub(super) fn fill(broker: &Broker) -> anyhow::Result<()> {
    let mut connection = broker.connect()?;
    let line = format!("{{\"payload\":\"{}\"}}\n", "x".repeat(PAYLOAD_BYTES));
    let batch = line.repeat(BATCH_MESSAGES).into_bytes();
    (0..BATCHES).try_for_each(|_| connection.publish(TOPIC, &batch))
}

/// Connections with an answer under way on each.
pub(super) struct Readers(Vec<TcpStream>);

impl Readers {
    /// Half of them fetch, half follow; all have begun to receive.
    pub(super) fn open(broker: &Broker, count: u32) -> anyhow::Result<Self> {
        let targets = [FETCH, STREAM].into_iter().cycle();
        let opened = targets
            .take(count as usize)
            .map(|target| begin(broker, target));
        opened.collect::<anyhow::Result<_>>().map(Self)
    }

    /// Reads on, slowly, until `during` is over.
    pub(super) fn read_during<T>(&self, during: impl FnOnce() -> T) -> T {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| self.read_until(&is_over));
            let result = during();
            is_over.store(true, Ordering::Relaxed);
            result
        })
    }

    fn read_until(&self, is_over: &AtomicBool) {
        let mut due = Instant::now();
        while !is_over.load(Ordering::Relaxed) {
            if due <= Instant::now() {
                for mut stream in &self.0 {
                    // One that was cut is found at the end.
                    let _taken = stream.read(&mut [0; 1]);
                }
                due += BYTE_EVERY;
            }
            pause(LOOK_EVERY);
        }
    }

    /// # Errors
    /// The broker has fewer connections: what was measured was not what was wanted.
    pub(super) fn check_all_are_served(&self, broker: &Broker) -> anyhow::Result<()> {
        let metrics = broker.connect()?.get("/metrics")?.text();
        let mut values = metrics
            .lines()
            .filter_map(|line| line.strip_prefix("weir_broker_connections "));
        let open = values.next().context("no weir_broker_connections")?;
        let open: usize = open.parse()?;
        if open < self.0.len() {
            bail!("of {} readers, {open} connections are left", self.0.len());
        }
        Ok(())
    }
}

fn begin(broker: &Broker, target: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&broker.http, PATIENCE)?;
    set_socket_recv_buffer_size(&stream, RECEIVE_BUFFER_BYTES)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    if &status != b"HTTP/1.1 200" {
        let status = String::from_utf8_lossy(&status);
        bail!("GET {target} was answered with {status}");
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}
