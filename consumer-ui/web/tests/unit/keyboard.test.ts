import { expect, test } from "vitest";
import { Keys } from "../../src/keyboard";

function recorder(): { keys: Keys; runs: string[] } {
  const runs: string[] = [];
  const bind = (keys: string) => ({ keys, help: "", run: () => void runs.push(keys) });
  return { keys: new Keys([bind("g f"), bind("g t"), bind("t"), bind("Space")]), runs };
}

test("a single key runs its binding, others pass", () => {
  const { keys, runs } = recorder();
  expect(keys.press("t", 0)).toBe(true);
  expect(keys.press(" ", 0)).toBe(true);
  expect(keys.press("x", 0)).toBe(false);
  expect(runs).toEqual(["t", "Space"]);
});

test("a chord needs both keys in time", () => {
  const { keys, runs } = recorder();
  keys.press("g", 0);
  keys.press("t", 500);
  keys.press("g", 10_000);
  keys.press("t", 20_000);
  expect(runs).toEqual(["g t", "t"]);
});

test("a wrong second key ends the chord and counts for itself", () => {
  const { keys, runs } = recorder();
  keys.press("g", 0);
  expect(keys.press("x", 100)).toBe(false);
  keys.press("f", 200);
  expect(runs).toEqual([]);
});
