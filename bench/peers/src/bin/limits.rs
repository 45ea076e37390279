//! Physical limits of this machine: what no broker on it can beat.

use anyhow::Result;
use clap::Parser;
use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

#[derive(Parser)]
struct Cli {
    /// Directory on the disk to measure; the files are removed.
    #[arg(long, default_value = "/tmp")]
    dir: PathBuf,
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// Files of the synced-append measurements start over at this size.
const FILE_CAP: u64 = 512 * MIB as u64;

fn main() -> Result<()> {
    let cli = Cli::parse();
    let span = Duration::from_secs_f64(cli.seconds);
    println!("| limit | median | min | max | unit |\n|---|--:|--:|--:|---|");
    let row = |name: &str, unit: &str, measure: &dyn Fn() -> Result<f64>| -> Result<()> {
        let mut values = (0..cli.repeats)
            .map(|_| measure())
            .collect::<Result<Vec<_>>>()?;
        values.sort_by(f64::total_cmp);
        let show = |v: f64| {
            if v >= 1000.0 {
                format!("{v:.0}")
            } else {
                format!("{v:.2}")
            }
        };
        let (low, high) = (values[0], values[values.len() - 1]);
        let median = show(values[values.len() / 2]);
        println!(
            "| {name} | {median} | {} | {} | {unit} |",
            show(low),
            show(high)
        );
        Ok(())
    };

    for (name, size) in [
        ("256 B", 256),
        ("4 KiB", 4 * KIB),
        ("64 KiB", 64 * KIB),
        ("1 MiB", MIB),
    ] {
        row(
            &format!("append {name} + fdatasync, growing file"),
            "syncs/s",
            &|| synced_writes(&cli.dir, size, span, Layout::Growing, false),
        )?;
        row(
            &format!("append {name} + fdatasync, written-over file"),
            "syncs/s",
            &|| synced_writes(&cli.dir, size, span, Layout::WrittenOver, false),
        )?;
    }
    row(
        "append 4 KiB O_DIRECT|O_DSYNC, written-over file",
        "writes/s",
        &|| synced_writes(&cli.dir, 4 * KIB, span, Layout::WrittenOver, true),
    )?;
    row(
        "2 files at once: 4 KiB + fdatasync each, growing",
        "syncs/s in all",
        &|| {
            let halves = thread::scope(|scope| {
                let run = || synced_writes(&cli.dir, 4 * KIB, span, Layout::Growing, false);
                let (a, b) = (scope.spawn(run), scope.spawn(run));
                [a.join().map_err(panicked), b.join().map_err(panicked)]
            });
            let [a, b] = halves;
            Ok(a?? + b??)
        },
    )?;
    row("append 256 B without sync", "writes/s", &|| {
        unsynced_writes(&cli.dir, span)
    })?;
    row("sequential 1 GiB write + fdatasync", "MB/s", &|| {
        sequential(&cli.dir)
    })?;

    row(
        "TCP loopback round trip, 64 B, blocking threads",
        "us",
        &|| round_trip(span),
    )?;
    row("TCP loopback throughput, 64 KiB writes", "MB/s", &|| {
        throughput(span)
    })?;
    row("thread hand-off and back (mpsc)", "us", &|| hand_off(span))?;

    let block = vec![0xa5_u8; 64 * KIB];
    row("CRC32C of 64 KiB", "GB/s", &|| {
        Ok(bytes_per_ns(span, block.len(), || {
            black_box(crc32c::crc32c(black_box(&block)));
        }))
    })?;
    let large = vec![1_u8; 64 * MIB];
    row("memcpy of 64 MiB", "GB/s", &|| {
        let mut target = vec![0_u8; large.len()];
        Ok(bytes_per_ns(span, large.len(), || {
            target.copy_from_slice(black_box(&large));
            black_box(&mut target);
        }))
    })?;
    for size in [200, 1024] {
        let payload = payload(size);
        row(&format!("CRC32C of {size} B"), "GB/s", &|| {
            Ok(bytes_per_ns(span, payload.len(), || {
                black_box(crc32c::crc32c(black_box(&payload)));
            }))
        })?;
        row(
            &format!("serde_json IgnoredAny over {size} B"),
            "GB/s",
            &|| {
                Ok(bytes_per_ns(span, payload.len(), || {
                    let valid =
                        serde_json::from_slice::<serde::de::IgnoredAny>(black_box(&payload));
                    black_box(valid.is_ok());
                }))
            },
        )?;
        row(
            &format!("serde_json Value (parse and drop) over {size} B"),
            "GB/s",
            &|| {
                Ok(bytes_per_ns(span, payload.len(), || {
                    let value = serde_json::from_slice::<serde_json::Value>(black_box(&payload));
                    black_box(value.is_ok());
                }))
            },
        )?;
    }
    Ok(())
}

/// Like the payload of `peerbench`: short fields, then padding that makes up the size.
fn payload(size: usize) -> Vec<u8> {
    let head = r#"{"stamp":"@t=00000000001234567890#000000000042@","device":"sensor-0042","kind":"temperature","value":21.4375,"ok":true,"tags":["a","b"],"pad":""#;
    let pad = size.saturating_sub(head.len() + 2);
    format!("{head}{}\"}}", "x".repeat(pad)).into_bytes()
}

#[derive(Clone, Copy, PartialEq)]
enum Layout {
    /// Each append allocates and changes the size: the sync also commits metadata.
    Growing,
    /// Blocks were written before: the sync has only data to write.
    WrittenOver,
}

fn scratch(dir: &Path, direct: bool) -> Result<(File, PathBuf)> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!("limits-{}-{number}", std::process::id()));
    let flags = if direct {
        libc::O_DIRECT | libc::O_DSYNC
    } else {
        0
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(flags)
        .open(&path)?;
    Ok((file, path))
}

/// Where memory must begin for O_DIRECT.
const ALIGNMENT: usize = 4 * KIB;

fn panicked(_: Box<dyn std::any::Any + Send>) -> anyhow::Error {
    anyhow::anyhow!("a thread panicked")
}

fn synced_writes(
    dir: &Path,
    size: usize,
    span: Duration,
    layout: Layout,
    direct: bool,
) -> Result<f64> {
    let (file, path) = scratch(dir, direct)?;
    let cap = if layout == Layout::WrittenOver {
        FILE_CAP / 8
    } else {
        FILE_CAP
    };
    let memory = vec![0_u8; MIB + ALIGNMENT];
    let buffer = &memory[memory.as_ptr().align_offset(ALIGNMENT)..][..MIB];
    if layout == Layout::WrittenOver {
        for at in (0..cap).step_by(MIB) {
            file.write_all_at(buffer, at)?;
        }
        file.sync_all()?;
    }
    let (start, mut writes, mut at) = (Instant::now(), 0_u64, 0_u64);
    while start.elapsed() < span {
        file.write_all_at(&buffer[..size], at)?;
        if !direct {
            file.sync_data()?;
        }
        writes += 1;
        at += size as u64;
        if at + size as u64 > cap {
            at = 0;
        }
    }
    let rate = writes as f64 / start.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

fn unsynced_writes(dir: &Path, span: Duration) -> Result<f64> {
    let (file, path) = scratch(dir, false)?;
    let (start, mut writes) = (Instant::now(), 0_u64);
    while start.elapsed() < span {
        for _ in 0..64 {
            file.write_all_at(&[b'x'; 256], writes * 256)?;
            writes += 1;
        }
    }
    let rate = writes as f64 / start.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

fn sequential(dir: &Path) -> Result<f64> {
    let (mut file, path) = scratch(dir, false)?;
    let buffer = vec![b'x'; MIB];
    let start = Instant::now();
    for _ in 0..KIB {
        file.write_all(&buffer)?;
    }
    file.sync_data()?;
    let rate = (KIB * MIB) as f64 / 1e6 / start.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

fn pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Ok((client, server))
}

fn round_trip(span: Duration) -> Result<f64> {
    let (mut client, mut server) = pair()?;
    let echo = thread::spawn(move || {
        let mut buffer = [0; 64];
        while server.read_exact(&mut buffer).is_ok() && server.write_all(&buffer).is_ok() {}
    });
    let (start, mut trips, mut buffer) = (Instant::now(), 0_u64, [0; 64]);
    while start.elapsed() < span {
        client.write_all(&buffer)?;
        client.read_exact(&mut buffer)?;
        trips += 1;
    }
    let us = start.elapsed().as_secs_f64() * 1e6 / trips as f64;
    drop(client);
    echo.join().map_err(panicked)?;
    Ok(us)
}

fn throughput(span: Duration) -> Result<f64> {
    let (mut client, mut server) = pair()?;
    let sink = thread::spawn(move || {
        let (mut buffer, mut total) = (vec![0; 256 * KIB], 0);
        while let Ok(read @ 1..) = server.read(&mut buffer) {
            total += read;
        }
        total
    });
    let (start, buffer) = (Instant::now(), vec![1; 64 * KIB]);
    while start.elapsed() < span {
        client.write_all(&buffer)?;
    }
    drop(client);
    let total = sink.join().map_err(panicked)?;
    Ok(total as f64 / 1e6 / start.elapsed().as_secs_f64())
}

fn hand_off(span: Duration) -> Result<f64> {
    let (to, from_main) = mpsc::channel::<u64>();
    let (back, from_other) = mpsc::channel();
    let other = thread::spawn(move || {
        while let Ok(value) = from_main.recv() {
            if back.send(value).is_err() {
                break;
            }
        }
    });
    let (start, mut trips) = (Instant::now(), 0_u64);
    while start.elapsed() < span {
        to.send(trips)?;
        from_other.recv()?;
        trips += 1;
    }
    let us = start.elapsed().as_secs_f64() * 1e6 / trips as f64;
    drop(to);
    other.join().map_err(panicked)?;
    Ok(us)
}

/// Bytes per nanosecond, that is GB/s, of a call that handles `size` bytes.
fn bytes_per_ns(span: Duration, size: usize, mut call: impl FnMut()) -> f64 {
    let calls = (MIB / size).max(1);
    let (start, mut total) = (Instant::now(), 0_u64);
    while start.elapsed() < span {
        for _ in 0..calls {
            call();
        }
        total += (calls * size) as u64;
    }
    total as f64 / start.elapsed().as_nanos() as f64
}
