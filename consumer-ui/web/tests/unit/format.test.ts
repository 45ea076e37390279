import { describe, expect, test } from "vitest";
import { ago, bytes, bytesPerSecond, count, duration, load, percent, perSecond, UNKNOWN } from "../../src/format";

describe("bytes", () => {
  test.each([
    [0, "0 B"],
    [1, "1 B"],
    [1023, "1023 B"],
    [1024, "1 KiB"],
    [1536, "1.5 KiB"],
    [123_456_789, "118 MiB"],
    [8 * 1024 ** 3, "8 GiB"],
    [1023.9 * 1024, "1 MiB"],
    [-2048, "-2 KiB"],
  ])("%d is %s", (value, text) => expect(bytes(value)).toBe(text));
});

test("unknown is a dash in every unit", () => {
  for (const format of [bytes, bytesPerSecond, count, perSecond, percent, load, duration, ago]) {
    expect(format(null)).toBe(UNKNOWN);
    expect(format(undefined)).toBe(UNKNOWN);
    expect(format(Number.NaN)).toBe(UNKNOWN);
  }
});

test("percent has a digit below ten only, and never says 10.0", () => {
  expect(percent(0.0123)).toBe("1.2 %");
  expect(percent(0.0996)).toBe("10 %");
  expect(percent(1)).toBe("100 %");
});

test("counts are written out up to ten thousand", () => {
  expect(count(1234)).toBe("1,234");
  expect(count(19_345)).toBe("19.3 k");
  expect(count(999_960)).toBe("1 M");
});

test("rates", () => {
  expect(perSecond(0.25)).toBe("0.25/s");
  expect(perSecond(1840)).toBe("1.84 k/s");
  expect(bytesPerSecond(1024)).toBe("1 KiB/s");
});

test.each([
  [0, "0 s"],
  [0.4, "400 ms"],
  [59.9, "59 s"],
  [60, "1 min"],
  [742, "12 min 22 s"],
  [90_000, "1 d 1 h"],
  [-5, "0 s"],
])("%d seconds are %s", (seconds, text) => expect(duration(seconds)).toBe(text));

test.each([
  [-800, "now"],
  [2_900, "now"],
  [15_000, "15 s ago"],
  [95_000, "1 min ago"],
  [3 * 3_600_000, "3 h ago"],
])("%d ms ago reads %s", (age, text) => expect(ago(age)).toBe(text));
