import { describe, expect, test } from "vitest";
import { breakerDetail, missingParts, openCount } from "../../src/breaker";
import type { Breaker, Delivery } from "../../src/model";
import { matchesBackend, matchesGateway, matchesWorker } from "../../src/order";

const NOW = 1_700_000_000_000;

function breaker(more: Partial<Breaker> = {}): Breaker {
  return { state: "CLOSED", since: null, next_trial_at: null, consecutive_failures: 0, opened: 0, ...more };
}

const target = { target: "tcp://10.0.0.1:9000", breaker: breaker({ state: "HALF_OPEN" }), in_flight: 0, delivered: 0, failed: 0, last_error: null };
const worker = { ...target, id: 1, topic: "orders", group: "billing", queue: null, concurrency: 1, paused: true };

test("a breaker says what an operator waits for", () => {
  const table: [Partial<Breaker>, string][] = [
    [{}, ""],
    [{ consecutive_failures: 1 }, "1 failure in a row"],
    [{ opened: 2 }, "opened 2 times"],
    [{ state: "OPEN", next_trial_at: NOW + 12_900, consecutive_failures: 5 }, "next trial in 12 s"],
    [{ state: "OPEN", next_trial_at: NOW + 900 }, "next trial now"],
    [{ state: "OPEN", next_trial_at: NOW - 5_000 }, "next trial now"],
    [{ state: "HALF_OPEN", consecutive_failures: 5, opened: 1 }, "5 failures in a row"],
  ];
  for (const [more, words] of table) expect(breakerDetail(breaker(more), NOW)).toBe(words);
});

test("open breakers of workers and backends are counted together, also those without a row", () => {
  const delivery: Delivery = { workers: { rows: [], total: 900, open: 300 }, backends: { rows: [], total: 2, open: 1 }, gateway: null, missing: [] };
  expect(openCount(delivery)).toBe(301);
});

test("what is missing is said once for each reason", () => {
  const part = (part: "workers" | "backends" | "gateway", reason: string) => ({ part, reason });
  expect(missingParts([])).toEqual([]);
  expect(missingParts([part("workers", "too old"), part("backends", "too old")])).toEqual(["Workers and backends are not shown: too old."]);
  expect(missingParts([part("backends", "a"), part("gateway", "b")])).toEqual(["Backends are not shown: a.", "The partitioned queue is not shown: b."]);
  expect(missingParts([part("workers", "a"), part("gateway", "a")])).toEqual(["Workers and the partitioned queue are not shown: a."]);
});

describe("the filter", () => {
  test("finds workers by topic, group, target and state", () => {
    for (const filter of ["", "ORDERS billing", "10.0.0.1", "half open", "paused"]) expect(matchesWorker(worker, filter)).toBe(true);
    expect(matchesWorker({ ...worker, paused: false }, "paused")).toBe(false);
  });

  test("finds backends and the partitioned queue by what they are", () => {
    const gateway = { topic: "queue", consumers: 0, producers: 0, partitions: 1, brokers: 1, messages_in_queue: 0, sent: 0, received: 0 };
    expect(matchesBackend(target, "backend 9000")).toBe(true);
    expect(matchesBackend(target, "orders")).toBe(false);
    expect(matchesGateway(gateway, "partitioned")).toBe(true);
    expect(matchesGateway(gateway, "orders")).toBe(false);
  });
});
