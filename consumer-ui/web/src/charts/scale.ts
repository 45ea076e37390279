/** Where an axis ends and where its marks stand. Pure. */

import type { Unit } from "../model";

/** Charts whose distance from 100 % is the point. */
const WHOLE = new Set(["filesystem"]);

/** Their quarters are whole percents. */
const RATIO_TOPS = [0.04, 0.08, 0.2, 0.4];

/** The axis' upper end for the largest value in view: few steps, so that it seldom moves. */
export function top(id: string, unit: Unit, largest: number): number {
  const value = Number.isFinite(largest) ? Math.max(largest, 0) : 0;
  if (unit === "ratio") return WHOLE.has(id) ? 1 : ratioTop(value);
  if (unit === "bytes" || unit === "bytes_per_second") return stepped(value, 1024, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
  return stepped(value, 10, [1, 2, 4, 6, 8]);
}

/** A share never exceeds the whole; what does is the jitter of two clocks. */
function ratioTop(value: number): number {
  return RATIO_TOPS.find((end) => value <= end) ?? 1;
}

function stepped(value: number, base: number, steps: readonly number[]): number {
  if (value <= 0) return 1;
  // Parts that add up to a whole may exceed it by their rounding.
  const power = base ** Math.floor(Math.log(value) / Math.log(base));
  const step = steps.find((factor) => factor * power >= value * 0.999) ?? base;
  const coarse = step * power;
  // Between two coarse steps a quarter less often fits: 6 instead of 8, 12 instead of 16.
  return value * 0.999 <= coarse * 0.75 ? coarse * 0.75 : coarse;
}

/** Five marks, the ends included. */
export function marks(end: number): number[] {
  return [0, 0.25, 0.5, 0.75, 1].map((part) => part * end);
}
