// Made-up workers, backends and a partitioned queue, as the server tells of them: open breakers first.

import { noise } from "./world.mjs";

export const HOSTILE = "<img src=x onerror=alert(1)>";

const MINUTE = 60_000;

function breaker(state, now) {
  const since = Math.floor(now / MINUTE) * MINUTE;
  const table = {
    CLOSED: { since: null, next_trial_at: null, consecutive_failures: 0, opened: 0 },
    HALF_OPEN: { since, next_trial_at: null, consecutive_failures: 6, opened: 2 },
    OPEN: { since, next_trial_at: now + 30_000 - (now % 30_000), consecutive_failures: 5, opened: 4 },
  };
  return { state, ...table[state] };
}

function target(address, state, now, delivered, failed, last_error, in_flight = 0) {
  return { target: address, breaker: breaker(state, now), in_flight, delivered, failed, last_error };
}

const worker = (id, topic, group, queue, concurrency, paused, row) => ({ id, topic, group, queue, concurrency, paused, ...row });

function workers(now) {
  const done = (seed, rate) => Math.floor((now % 100_000_000) / 1000) * rate + seed;
  const busy = (seed, most) => Math.round(noise(seed, now, 4_000) * most);
  const long = "HTTP 502 from https://billing.internal.example:8443/hooks/weir?tenant=europe-central: upstream connect error or disconnect/reset before headers, reset reason: connection termination";
  return [
    worker(7, "orders", "billing", null, 8, false, target("https://billing.internal.example:8443/hooks/weir?tenant=europe-central", "OPEN", now, done(0, 2), 1_204, long)),
    worker(12, HOSTILE.replaceAll(" ", "_"), "workers", 3, 1, false, target(`tcp://${HOSTILE}:9000`, "OPEN", now, 0, 5, `connection refused by ${HOSTILE}`)),
    worker(4, "emails", "workers", 2, 2, false, target("grpc://10.0.4.17:50051", "HALF_OPEN", now, done(7, 1), 61, "no answer within 30 s", 1)),
    worker(3, "emails", "workers", 2, 4, true, target("tcp://10.0.4.16:9000", "CLOSED", now, done(9, 1), 0, null)),
    worker(1, "images.resize", "workers", 1, 16, false, target("tcp://10.0.4.11:9000", "CLOSED", now, done(1, 31), 3, "nack: the picture is no JPEG", busy(3, 16))),
    worker(2, "images.resize", "workers", 1, 16, false, target("tcp://10.0.4.12:9000", "CLOSED", now, done(2, 30), 0, null, busy(4, 16))),
  ];
}

function backends(now) {
  const refused = "connect to 10.0.9.2:50051: connection refused";
  return [
    target("backend://10.0.9.2:50051", "OPEN", now, 18_204, 15, refused),
    target("backend://10.0.9.1:50051", "CLOSED", now, 60_117 + Math.floor((now % 100_000_000) / 500), 2, refused, 2),
    target("backend://10.0.9.3:50051", "CLOSED", now, 60_120, 0, null, 1),
  ];
}

function gateway(now) {
  const sent = Math.floor((now % 100_000_000) / 100);
  const messages_in_queue = Math.round(120 + 60 * noise(1, now, 10_000));
  return { topic: "queue", consumers: 4, producers: 2, partitions: 16, brokers: 1, messages_in_queue, sent, received: sent - messages_in_queue };
}

function listing(rows) {
  return { rows, total: rows.length, open: rows.filter((row) => row.breaker.state === "OPEN").length };
}

/** `kind`: everything, none (nothing registered), old (a broker from before workers). */
export function delivery(now, kind = "everything") {
  if (kind === "everything") return { workers: listing(workers(now)), backends: listing(backends(now)), gateway: gateway(now), missing: [] };
  const reason = "this version of the broker does not list them";
  const missing = kind === "old" ? ["workers", "backends"].map((part) => ({ part, reason })) : [];
  return { workers: listing([]), backends: listing([]), gateway: null, missing };
}
