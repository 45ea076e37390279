/** Builds the uPlot for one chart: axes, colours, stacking, a cursor shared with its neighbours. */

import uPlot from "uplot";
import { byUnit, clock, clockMinutes } from "../format";
import type { Chart, Values } from "../model";
import type { Range } from "../router";
import { stacked } from "../series";
import { heatPainter, isHeat } from "./heat";
import { lineColor, type Palette, withAlpha } from "./palette";
import { marks, top } from "./scale";

export const PLOT_HEIGHT = 168;
const AXIS_WIDTH = 66;
const FEW_LINES = 8;

export interface PlotEvents {
  range: () => Range;
  moved: () => void;
  selected: (range: Range) => void;
}

export function plotData(chart: Chart, hidden: ReadonlySet<string>): uPlot.AlignedData {
  const shown = chart.lines.filter((line) => !hidden.has(line.label)).map((line) => line.values);
  const columns: Values[] = chart.stacked ? stacked(shown) : shown;
  return [chart.time, ...columns];
}

export function buildPlot(
  chart: Chart,
  hidden: ReadonlySet<string>,
  palette: Palette,
  place: HTMLElement,
  events: PlotEvents,
): uPlot {
  const options: uPlot.Options = {
    width: Math.max(place.clientWidth, 100),
    height: PLOT_HEIGHT,
    ms: 1,
    legend: { show: false },
    padding: [8, 8, 0, 0],
    cursor: cursor(isHeat(chart) ? Number.POSITIVE_INFINITY : chart.lines.length),
    scales: { x: { time: true, range: () => spread(events.range()) }, y: { range: yRange(chart) } },
    axes: [timeAxis(palette, events), isHeat(chart) ? coreAxis(chart, palette) : valueAxis(chart, palette)],
    series: [{}, ...lineOptions(chart, hidden, palette)],
    bands: bands(chart, hidden),
    hooks: { setCursor: [events.moved], setSelect: [(plot) => report(plot, events)], draw: isHeat(chart) ? [heatPainter(palette, hidden)] : [] },
  };
  return new uPlot(options, plotData(chart, hidden), place);
}

type SetCursor = (place: { left: number; top: number }, fire: boolean, publish: boolean) => void;

/** Puts the cursor on a sample, in the neighbouring charts too (uPlot's types leave the third argument out). */
export function moveCursor(plot: uPlot, at: number): void {
  (plot.setCursor as SetCursor)({ left: plot.valToPos(at, "x"), top: 10 }, true, true);
}

function spread(range: Range): uPlot.Range.MinMax {
  return [range.from, range.to];
}

function cursor(lines: number): uPlot.Cursor {
  return {
    y: false,
    points: { show: lines <= FEW_LINES, size: 6 },
    drag: { x: true, y: false, setScale: false },
    sync: { key: "node", setSeries: false, scales: ["x", null] },
    bind: { dblclick: () => null },
  };
}

function report(plot: uPlot, events: PlotEvents): void {
  const { left, width } = plot.select;
  if (width < 8) return;
  const from = Math.round(plot.posToVal(left, "x"));
  const to = Math.round(plot.posToVal(left + width, "x"));
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  events.selected({ from, to });
}

function yRange(chart: Chart): uPlot.Range.Function {
  if (isHeat(chart)) return () => [0, 1];
  return (_plot, _min, max) => [0, top(chart.id, chart.unit, max ?? 0)];
}

function timeAxis(palette: Palette, events: PlotEvents): uPlot.Axis {
  return {
    stroke: palette.text,
    font: "11px system-ui, sans-serif",
    size: 26,
    gap: 6,
    space: 64,
    grid: { show: false },
    ticks: { stroke: palette.grid, width: 1, size: 4 },
    values: (_plot, splits) => {
      const { from, to } = events.range();
      return splits.map(to - from < 3 * 60_000 ? clock : clockMinutes);
    },
  };
}

function valueAxis(chart: Chart, palette: Palette): uPlot.Axis {
  const format = byUnit(chart.unit);
  return {
    stroke: palette.text,
    font: "11px system-ui, sans-serif",
    size: AXIS_WIDTH,
    gap: 6,
    grid: { stroke: palette.grid, width: 1 },
    ticks: { show: false },
    splits: (_plot, _axis, _min, max) => marks(max),
    values: (_plot, splits) => splits.map((value) => (value === 0 ? "0" : format(value))),
  };
}

/** Rows from the first core at the top to the last at the bottom. */
function coreAxis(chart: Chart, palette: Palette): uPlot.Axis {
  const last = chart.lines.at(-1)?.label ?? "";
  const first = chart.lines[0]?.label ?? "";
  return { ...valueAxis(chart, palette), grid: { show: false }, splits: () => [0.04, 0.96], values: () => [last, first] };
}

function lineOptions(chart: Chart, hidden: ReadonlySet<string>, palette: Palette): uPlot.Series[] {
  const options: uPlot.Series[] = [];
  chart.lines.forEach((line, index) => {
    if (hidden.has(line.label)) return;
    const stroke = lineColor(palette, line.label, index, chart.lines.length);
    const width = chart.stacked ? 0 : 1.5;
    const fill = filling(chart, stroke);
    if (isHeat(chart)) {
      options.push({ label: line.label, stroke, paths: () => null, points: { show: false } });
      return;
    }
    options.push({ label: line.label, stroke, width, spanGaps: false, points: { size: 3 }, ...fill });
  });
  return options;
}

function filling(chart: Chart, stroke: string): { fill?: string } {
  if (chart.stacked) return { fill: withAlpha(stroke, 0.72) };
  return chart.lines.length === 1 ? { fill: withAlpha(stroke, 0.1) } : {};
}

/** Each stacked line is filled down to the one below it. */
function bands(chart: Chart, hidden: ReadonlySet<string>): uPlot.Band[] {
  if (!chart.stacked) return [];
  const shown = chart.lines.filter((line) => !hidden.has(line.label)).length;
  return Array.from({ length: Math.max(shown - 1, 0) }, (_, index) => ({ series: [index + 2, index + 1] }));
}
