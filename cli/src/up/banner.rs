//! What runs where, and what to try next.

use super::together::Places;
use std::fmt::Write;

/// The text that `weir up` prints once everything runs.
pub(super) fn banner(places: &Places) -> String {
    let mut banner = String::from("\nWeir is up. Ctrl-C stops it.\n\n");
    // Writing to a String cannot fail.
    let _infallible = write_places(&mut banner, places);
    banner
}

fn write_places(out: &mut String, places: &Places) -> std::fmt::Result {
    let data_dir = places.data_dir.display();
    if let Some(ui) = places.ui {
        writeln!(out, "  dashboard  http://{ui}   (/metrics for Prometheus)")?;
    }
    if let Some(broker) = places.broker {
        writeln!(
            out,
            "  broker     http://{broker}   (/health, /ready, /metrics)"
        )?;
    }
    if places.agent {
        writeln!(out, "  agent      measures this host, topics host.*")?;
    }
    writeln!(out, "  data       {data_dir}   (one JSON object a line)")?;
    let Some(broker) = places.broker else {
        return Ok(());
    };
    write!(
        out,
        "
Try, in another terminal:
  curl -d '{{\"text\":\"Hello\"}}' http://{broker}/v1/topics/hello/messages
  curl 'http://{broker}/v1/topics/hello/messages?from=earliest'
  curl -N 'http://{broker}/v1/topics/hello/stream?from=earliest'
  curl -X POST http://{broker}/produce -d '{{\"topic\":\"hello\",\"message\":\"from MiniMQ\"}}'
  weir consume hello --group readers
  tail -f {data_dir}/hello/partition-0/*.log
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_has_lines_to_copy() {
        let banner = banner(&Places {
            broker: Some(([127, 0, 0, 1], 5005).into()),
            ui: Some(([127, 0, 0, 1], 8080).into()),
            agent: true,
            data_dir: "./data".into(),
        });
        assert!(banner.contains("dashboard  http://127.0.0.1:8080"));
        assert!(banner.contains(
            "\n  curl -d '{\"text\":\"Hello\"}' http://127.0.0.1:5005/v1/topics/hello/messages\n"
        ));
    }
}
