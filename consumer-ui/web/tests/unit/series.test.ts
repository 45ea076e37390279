import { describe, expect, test } from "vitest";
import { indexAt, joined, KEEP_MS, stacked, trimmed, usualInterval, withGaps, withPoints } from "../../src/series";
import { chart, detail } from "./samples";

describe("points that arrive", () => {
  const before = chart([1000, 2000, 3000, 4000], [1, 2, 3, 4]);

  test("are appended", () => {
    const after = joined(before, [5000], [[5]]);
    expect(after.time).toEqual([1000, 2000, 3000, 4000, 5000]);
    expect(after.lines[0]?.values).toEqual([1, 2, 3, 4, 5]);
  });

  test("leave the old chart as it was, for a page that is paused", () => {
    joined(before, [5000], [[5]]);
    expect(before.time).toHaveLength(4);
    expect(before.lines[0]?.values).toHaveLength(4);
  });

  test("are dropped where they repeat what is there", () => {
    expect(joined(before, [3000, 4000], [[9, 9]])).toBe(before);
    expect(joined(before, [4000, 5000], [[9, 5]]).lines[0]?.values).toEqual([1, 2, 3, 4, 5]);
  });

  test("after a silence open a gap", () => {
    const after = joined(before, [60_000, 61_000], [[7, 8]]);
    expect(after.time).toEqual([1000, 2000, 3000, 4000, 5000, 60_000, 61_000]);
    expect(after.lines[0]?.values).toEqual([1, 2, 3, 4, null, 7, 8]);
  });

  test("a null stays a null", () => {
    expect(joined(before, [5000], [[null]]).lines[0]?.values.at(-1)).toBeNull();
  });
});

test("gaps in a whole chart are opened in every line, and one missed sample is not a gap", () => {
  const holed = withGaps(chart([1000, 2000, 3000, 5000, 6000, 7000, 30_000], [1, 2, 3, 5, 6, 7, 30], [1, 2, 3, 5, 6, 7, 30]));
  expect(holed.time).toEqual([1000, 2000, 3000, 5000, 6000, 7000, 8000, 30_000]);
  for (const line of holed.lines) expect(line.values).toEqual([1, 2, 3, 5, 6, 7, null, 30]);
});

test("the usual interval is the median, and unknown for a few samples", () => {
  expect(usualInterval([0, 5000, 10_000, 15_000, 400_000])).toBe(5000);
  expect(usualInterval([0, 1000])).toBe(0);
  expect(usualInterval([])).toBe(0);
});

test("what is older than the window goes", () => {
  const cut = trimmed(chart([0, 1, KEEP_MS + 1], [1, 2, 3]), KEEP_MS);
  expect(cut.time).toEqual([1, KEEP_MS + 1]);
  expect(cut.lines[0]?.values).toEqual([2, 3]);
});

describe("a node must be fetched again", () => {
  const node = detail("a", chart([1], [1]));
  const points = (more: object) => ({ node: "a", charts: [], reset: false, ...more });

  test.each([
    ["when the server says so", points({ reset: true })],
    ["when a chart is new", points({ charts: [{ id: "new", time: [2], values: [[2]] }] })],
    ["when the number of lines differs", points({ charts: [{ id: "cpu", time: [2], values: [[2], [2]] }] })],
    ["when they belong to another node", points({ node: "b" })],
  ])("%s", (_name, arrived) => expect(withPoints(node, arrived)).toBeNull());

  test("but not otherwise", () => expect(withPoints(node, points({}))).not.toBeNull());
});

test("stacking sums upwards and keeps gaps", () => {
  expect(stacked([[1, null, 3], [10, null, null], [100, null, 100]])).toEqual([[1, null, 3], [11, null, null], [111, null, 103]]);
});

test("the sample at a time is the last one not after it", () => {
  expect(indexAt([10, 20, 30], 9)).toBe(-1);
  expect(indexAt([10, 20, 30], 20)).toBe(1);
  expect(indexAt([10, 20, 30], 99)).toBe(2);
});
