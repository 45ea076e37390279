import { describe, expect, test } from "vitest";
import { lagLevel, level, matches, matchesTopic, sorted, sortedTopics, DISK } from "../../src/order";
import { summary, topic } from "./samples";

const names = (nodes: { node: string }[]) => nodes.map((node) => node.node);

describe("worst first", () => {
  test("gone, late, full disk, full memory, failing agent, busy, well", () => {
    const nodes = [
      summary("well"),
      summary("busy", { cpu_busy_ratio: 0.85 }),
      summary("failing", { failed_collectors: ["disk"] }),
      summary("memory", { memory_used_ratio: 0.96 }),
      summary("disk", { disk_used_ratio: 0.97 }),
      summary("late", { state: "late" }),
      summary("gone", { state: "gone" }),
    ];
    expect(names(sorted(nodes, "worst"))).toEqual(["gone", "late", "disk", "memory", "failing", "busy", "well"]);
  });

  test("a few percent of CPU do not change places; numbers in names count", () => {
    const nodes = [summary("node-10", { cpu_busy_ratio: 0.4 }), summary("node-9", { cpu_busy_ratio: 0.1 })];
    expect(names(sorted(nodes, "worst"))).toEqual(["node-9", "node-10"]);
  });
});

test("a column sorts the largest first and the unknown last", () => {
  const nodes = [summary("a", { load1: null }), summary("b", { load1: 1 }), summary("c", { load1: 3 })];
  expect(names(sorted(nodes, "load"))).toEqual(["c", "b", "a"]);
  expect(names(sorted([...nodes].reverse(), "name"))).toEqual(["a", "b", "c"]);
});

test("sorting leaves its argument alone", () => {
  const nodes = [summary("b"), summary("a")];
  sorted(nodes, "name");
  expect(names(nodes)).toEqual(["b", "a"]);
});

test("every word of a filter must occur, in any case", () => {
  const node = summary("db-1.eu", { os: "Debian", failed_collectors: ["disk"] });
  expect(matches(node, "")).toBe(true);
  expect(matches(node, "DEB live")).toBe(true);
  expect(matches(node, "disk")).toBe(true);
  expect(matches(node, "db fedora")).toBe(false);
});

test("levels begin at their limits", () => {
  expect(level(0.849, DISK)).toBe("ok");
  expect(level(0.85, DISK)).toBe("warn");
  expect(level(0.95, DISK)).toBe("bad");
  expect(level(null, DISK)).toBe("ok");
});

describe("topics", () => {
  const group = (lag_records: number, lag_seconds: number) => ({ group: "g", lag_records, lag_seconds, in_flight: 0, redelivered: 0 });

  test("an old lag without records is none", () => {
    expect(lagLevel(group(0, 9999))).toBe("ok");
    expect(lagLevel(group(1, 9999))).toBe("bad");
  });

  test("trouble first, then the consumed, then the rest", () => {
    const topics = [
      topic("a-unread"),
      topic("b-read", { groups: [group(0, 0)] }),
      topic("c.dead-letter", { records: 3 }),
      topic("d-lagging", { groups: [group(5, 700)] }),
      topic("e.dead-letter"),
    ];
    expect(sortedTopics(topics).map((one) => one.topic)).toEqual(["d-lagging", "c.dead-letter", "b-read", "a-unread", "e.dead-letter"]);
  });

  test("are found by their groups too", () => {
    expect(matchesTopic(topic("orders", { groups: [group(0, 0)] }), "ord g")).toBe(true);
    expect(matchesTopic(topic("orders"), "billing")).toBe(false);
  });
});
