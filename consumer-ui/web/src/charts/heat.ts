/**
 * Many cores as a field of colour, one row each: sixty-four lines over one another say nothing,
 * a bright row among dark ones says which core is busy and when.
 */

import type uPlot from "uplot";
import type { Chart } from "../model";
import { type Palette, withAlpha } from "./palette";

const MORE_THAN = 8;
const COLUMN_PX = 3;
const STEPS = 24;

export function isHeat(chart: Chart): boolean {
  return chart.id === "cpu_cores" && chart.lines.length > MORE_THAN;
}

/** The largest value of each column of `width / columns`; `null` where no sample fell into it. */
export function columnMaxima(time: ArrayLike<number>, values: ArrayLike<number | null | undefined>, from: number, to: number, columns: number): (number | null)[] {
  const result: (number | null)[] = new Array<number | null>(columns).fill(null);
  for (let index = 0; index < time.length; index++) {
    const at = time[index] ?? 0;
    const value = values[index];
    if (at < from || at > to || value === null || value === undefined) continue;
    const column = Math.min(Math.floor(((at - from) / (to - from)) * columns), columns - 1);
    result[column] = Math.max(result[column] ?? 0, value);
  }
  return result;
}

/** Wide columns where samples are few, so that a sampled stretch has no holes. */
function columnsFor(plot: uPlot, from: number, to: number): number {
  const times = plot.data[0];
  const last = times.length - 1;
  const step = last > 0 ? ((times[last] ?? 0) - (times[0] ?? 0)) / last : 1_000;
  const wanted = Math.floor(plot.bbox.width / (COLUMN_PX * devicePixelRatio));
  return Math.max(Math.min(wanted, Math.floor((to - from) / Math.max(step * 1.5, 1))), 1);
}

export function heatPainter(palette: Palette, hidden: ReadonlySet<string>): (plot: uPlot) => void {
  const color = palette.lines[0] ?? palette.text;
  const shades = Array.from({ length: STEPS + 1 }, (_, step) => withAlpha(color, 0.06 + 0.94 * (step / STEPS) ** 1.3));
  return (plot) => {
    const { min: from, max: to } = plot.scales["x"] ?? {};
    if (typeof from !== "number" || typeof to !== "number") return;
    const rows = plot.series.slice(1).filter((series) => !hidden.has(String(series.label)));
    const columns = columnsFor(plot, from, to);
    // uPlot remembers the fill it set last and would write the axis in ours.
    plot.ctx.save();
    rows.forEach((_series, row) => paintRow(plot, row, rows.length, columnMaxima(plot.data[0], plot.data[row + 1] ?? [], from, to, columns), shades));
    plot.ctx.restore();
  };
}

function paintRow(plot: uPlot, row: number, rows: number, maxima: (number | null)[], shades: string[]): void {
  const { left, top, width, height } = plot.bbox;
  const cell = width / maxima.length;
  const y = top + Math.round((row / rows) * height);
  const bottom = top + Math.round(((row + 1) / rows) * height);
  maxima.forEach((value, column) => {
    if (value === null) return;
    const x = left + Math.round(column * cell);
    const right = left + Math.round((column + 1) * cell);
    plot.ctx.fillStyle = shades[Math.round(Math.min(Math.max(value, 0), 1) * STEPS)] ?? "";
    plot.ctx.fillRect(x, y, right - x, bottom - y - (height / rows > 6 ? 1 : 0));
  });
}
