import { describe, expect, test } from "vitest";
import { retryDelay } from "../../src/api";
import { gotFleet, gotNode, gotPoints, INITIAL, linked, nodeIsMissing, RECENT, remembered, serverNow, Store } from "../../src/store";
import { problem } from "../../src/shell";
import { chart, detail, fleet, summary } from "./samples";

describe("the fleet", () => {
  test("sets the server's clock", () => {
    const state = gotFleet(INITIAL, fleet(50_000), 20_000);
    expect(serverNow(state, 21_000)).toBe(51_000);
  });

  test("keeps the open node's summary current", () => {
    const open = gotNode(INITIAL, detail("a"));
    const state = gotFleet(open, fleet(0, summary("a", { state: "late" })), 0);
    expect(state.node?.summary.state).toBe("late");
  });

  test("remembers the last minute of each node, gaps included, and forgets who left", () => {
    let state = gotFleet(INITIAL, fleet(0, summary("a", { cpu_busy_ratio: 0.5 }), summary("b")), 0);
    state = gotFleet(state, fleet(0, summary("a", { state: "gone", cpu_busy_ratio: 0.5 })), 0);
    expect(state.cpuRecent.get("a")).toEqual([0.5, null]);
    expect(state.cpuRecent.has("b")).toBe(false);
  });
});

test("recent values are bounded", () => {
  let recent = remembered(new Map(), []);
  for (let value = 0; value < RECENT + 5; value++) recent = remembered(recent, [["a", value]]);
  expect(recent.get("a")).toHaveLength(RECENT);
  expect(recent.get("a")?.at(-1)).toBe(RECENT + 4);
});

describe("points", () => {
  test("before the node is there change nothing", () => {
    expect(gotPoints(INITIAL, { node: "a", charts: [], reset: false })).toBe(INITIAL);
  });

  test("that do not fit ask for the whole node", () => {
    const open = gotNode(INITIAL, detail("a", chart([1], [1])));
    expect(gotPoints(open, { node: "a", charts: [], reset: true })).toBeNull();
  });
});

test("a node that appears after all is no longer missing", () => {
  const missing = nodeIsMissing(INITIAL, "a");
  expect(missing.missingNode).toBe("a");
  expect(gotNode(missing, detail("a")).missingNode).toBeNull();
});

test("listeners hear each change", () => {
  const store = new Store();
  let heard = 0;
  store.subscribe(() => heard++);
  store.change((state) => linked(state, "open"));
  expect(heard).toBe(1);
  expect(store.state.link).toBe("open");
});

describe("the banner", () => {
  const cut = { ...fleet(0), broker: { connected: false, url: "http://b:5000", error: "refused" } };

  test("is silent while all is well or nothing is known yet", () => {
    expect(problem(INITIAL)).toBe("");
    expect(problem(gotFleet(linked(INITIAL, "open"), fleet(0), 0))).toBe("");
  });

  test("names the broker and the reason", () => {
    const text = problem(gotFleet(linked(INITIAL, "open"), cut, 0));
    expect(text).toContain("http://b:5000");
    expect(text).toContain("refused");
  });

  test("speaks of the nearer trouble first", () => {
    expect(problem(gotFleet(linked(INITIAL, "lost"), cut, 0))).toContain("dashboard's server lost");
  });
});

test("retries grow, are bounded and spread", () => {
  expect(retryDelay(0, 1)).toBe(1000);
  expect(retryDelay(2, 1)).toBe(4000);
  expect(retryDelay(50, 1)).toBe(10_000);
  expect(retryDelay(0, 0)).toBe(500);
});
