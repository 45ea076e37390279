/**
 * Charts as columns of numbers: joining new points, cutting old ones, keeping gaps open.
 * Nothing here changes its arguments, so a paused page keeps what it shows.
 */

import type { Chart, Line, NodeDetail, Points, Values } from "./model";

export const KEEP_MS = 60 * 60_000;

/** Samples further apart than this many usual intervals have a gap between them. */
const GAP_INTERVALS = 3.5;

/** The node with the points added, or `null` where the shape differs and it must be fetched anew. */
export function withPoints(detail: NodeDetail, points: Points): NodeDetail | null {
  if (points.reset || points.node !== detail.summary.node) return null;
  const news = new Map(points.charts.map((chart) => [chart.id, chart]));
  const known = new Set(detail.charts.map((chart) => chart.id));
  if (points.charts.some((chart) => !known.has(chart.id))) return null;
  const charts: Chart[] = [];
  for (const chart of detail.charts) {
    const added = news.get(chart.id);
    if (added === undefined) {
      charts.push(chart);
      continue;
    }
    if (added.values.length !== chart.lines.length) return null;
    charts.push(trimmed(joined(chart, added.time, added.values), KEEP_MS));
  }
  return { ...detail, charts };
}

/** Appends what is newer than the chart's last sample; a repeated or older one is dropped. */
export function joined(chart: Chart, time: number[], values: Values[]): Chart {
  const last = chart.time.at(-1) ?? Number.NEGATIVE_INFINITY;
  const start = time.findIndex((at) => at > last);
  if (start < 0) return chart;
  const added: Chart = {
    ...chart,
    time: chart.time.concat(time.slice(start)),
    lines: chart.lines.map((line, index) => ({
      label: line.label,
      values: line.values.concat((values[index] ?? []).slice(start)),
    })),
  };
  return withGaps(added, Math.max(chart.time.length, 1), usualInterval(chart.time));
}

/** Puts a row of nulls wherever samples are missing, so that no line is drawn across. */
export function withGaps(chart: Chart, start = 1, interval = usualInterval(chart.time)): Chart {
  const holes = holesIn(chart.time, start, interval);
  if (holes.length === 0) return chart;
  const lines: Line[] = chart.lines.map((line) => ({
    label: line.label,
    values: spliced<number | null>(line.values, holes, () => null),
  }));
  const time = spliced(chart.time, holes, (hole) => (chart.time[hole - 1] ?? 0) + interval);
  return { ...chart, time, lines };
}

function holesIn(time: number[], start: number, interval: number): number[] {
  const holes: number[] = [];
  if (!(interval > 0)) return holes;
  for (let index = start; index < time.length; index++) {
    const step = (time[index] ?? 0) - (time[index - 1] ?? 0);
    if (step > interval * GAP_INTERVALS) holes.push(index);
  }
  return holes;
}

/** Copies with one made-up item before each of the positions. */
function spliced<T>(items: T[], positions: number[], make: (position: number) => T): T[] {
  const result: T[] = [];
  let from = 0;
  for (const position of positions) {
    for (let index = from; index < position; index++) result.push(items[index] as T);
    result.push(make(position));
    from = position;
  }
  for (let index = from; index < items.length; index++) result.push(items[index] as T);
  return result;
}

/** The median distance of the last samples; 0 while there are too few to tell. */
export function usualInterval(time: number[]): number {
  const recent = time.slice(-60);
  const steps = recent.slice(1).map((at, index) => at - (recent[index] ?? at));
  if (steps.length < 3) return 0;
  steps.sort((a, b) => a - b);
  return steps[steps.length >> 1] ?? 0;
}

export function trimmed(chart: Chart, keepMs: number): Chart {
  const last = chart.time.at(-1);
  if (last === undefined) return chart;
  const start = chart.time.findIndex((at) => at >= last - keepMs);
  if (start <= 0) return chart;
  const lines = chart.lines.map((line) => ({ label: line.label, values: line.values.slice(start) }));
  return { ...chart, time: chart.time.slice(start), lines };
}

/** Running sums for stacked charts. A null stays a gap and adds nothing to the lines above it. */
export function stacked(lines: Values[]): Values[] {
  const base: number[] = [];
  return lines.map((values) =>
    values.map((value, index) => {
      if (value === null) return null;
      base[index] = (base[index] ?? 0) + value;
      return base[index] ?? null;
    }),
  );
}

/** Position of the last sample at or before `at`, or -1. */
export function indexAt(time: number[], at: number): number {
  let low = 0;
  let high = time.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((time[middle] ?? 0) <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
