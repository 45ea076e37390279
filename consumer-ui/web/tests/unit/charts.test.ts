import { describe, expect, test } from "vitest";
import { columnMaxima } from "../../src/charts/heat";
import { withAlpha } from "../../src/charts/palette";
import { rows, sentence } from "../../src/charts/reading";
import { marks, top } from "../../src/charts/scale";
import { sparkPath } from "../../src/charts/sparkline";
import { chart } from "./samples";

const GiB = 1024 ** 3;

describe("the value axis ends at a round number above the largest value", () => {
  test.each([
    ["cpu", "ratio", 0.03, 0.04],
    ["cpu", "ratio", 1.04, 1],
    ["cpu", "ratio", 0, 0.04],
    ["filesystem", "ratio", 0.2, 1],
    ["memory", "bytes", 256 * GiB, 256 * GiB],
    ["memory", "bytes", 256.01 * GiB, 256 * GiB],
    ["network", "bytes_per_second", 0, 1],
    ["load", "load", 7.2, 8],
    ["load", "load", Number.NEGATIVE_INFINITY, 1],
  ] as const)("%s %s %d → %d", (id, unit, largest, end) => expect(top(id, unit, largest)).toBe(end));

  test("and has five marks", () => expect(marks(8)).toEqual([0, 2, 4, 6, 8]));
});

describe("reading a chart aloud", () => {
  const cpu = chart([1000, 2000], [0.5, null], [0.25, null]);

  test("names each line", () => expect(sentence(cpu, 0, new Set())).toMatch(/: line 0 50 %, line 1 25 %$/));
  test("leaves hidden lines out", () => expect(sentence(cpu, 0, new Set(["line 0"]))).not.toContain("line 0"));
  test("calls a gap a gap", () => expect(sentence(cpu, 1, new Set())).toContain("gap"));
  test("says when there is nothing", () => expect(sentence(chart([]), 0, new Set())).toBe("CPU: no samples"));
});

test("the hidden table leaves stretches without samples empty", () => {
  const table = rows(chart([500, 1500, 11_500], [1, 2, 3]), { from: 0, to: 12_000 });
  expect(table).toHaveLength(12);
  expect(table.map((row) => row.values[0])).toEqual([1, 2, null, null, null, null, null, null, null, null, null, 3]);
});

test("a column of the core field holds its largest value, or nothing", () => {
  expect(columnMaxima([0, 10, 90], [0.2, 0.6, null], 0, 100, 2)).toEqual([0.6, null]);
  expect(columnMaxima([-5, 100], [1, 0.3], 0, 100, 2)).toEqual([null, 0.3]);
});

test("a small line breaks at gaps and ends at the right edge", () => {
  const path = sparkPath([0, null, 1], 1, 3);
  expect(path.match(/M/g)).toHaveLength(2);
  expect(path).toContain("72.0 1.0");
});

test("colours become transparent whichever way they are written", () => {
  expect(withAlpha("rgb(1, 2, 3)", 0.5)).toBe("rgba(1, 2, 3, 0.5)");
  expect(withAlpha("hsl(10 20% 30%)", 0.5)).toBe("hsl(10 20% 30% / 0.5)");
  expect(withAlpha("oklch(0.5 0.1 20)", 0.5)).toBe("oklch(0.5 0.1 20)");
});
