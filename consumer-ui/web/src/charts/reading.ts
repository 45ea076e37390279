/** What a chart says to those who do not see it: one sample as a sentence, an hour as a small table. */

import { el } from "../dom";
import { byUnit, clock, clockMinutes } from "../format";
import type { Chart } from "../model";
import type { Range } from "../router";
import { indexAt } from "../series";

const ROWS = 12;
/** A screen reader that recites 64 cores helps nobody; the table has them all. */
const SPOKEN = 10;

export function sentence(chart: Chart, index: number, hidden: ReadonlySet<string>): string {
  const at = chart.time[index];
  if (at === undefined) return `${chart.title}: no samples`;
  const format = byUnit(chart.unit);
  const lines = chart.lines.filter((line) => !hidden.has(line.label));
  if (lines.every((line) => (line.values[index] ?? null) === null)) return `${clock(at)}: gap, no samples`;
  const spoken = lines.slice(0, SPOKEN).map((line) => `${line.label} ${format(line.values[index])}`);
  const rest = lines.length > SPOKEN ? `, and ${lines.length - SPOKEN} more in the table` : "";
  return `${clock(at)}: ${spoken.join(", ")}${rest}`;
}

export interface Row {
  at: number;
  values: (number | null)[];
}

/** The last sample of each twelfth of the range. */
export function rows(chart: Chart, range: Range): Row[] {
  const step = (range.to - range.from) / ROWS;
  const result: Row[] = [];
  for (let part = 1; part <= ROWS; part++) {
    const at = range.from + step * part;
    const index = indexAt(chart.time, at);
    const found = index >= 0 && (chart.time[index] ?? 0) > at - step;
    result.push({ at, values: chart.lines.map((line) => (found ? (line.values[index] ?? null) : null)) });
  }
  return result;
}

export function valueTable(chart: Chart, range: Range): HTMLTableElement {
  const format = byUnit(chart.unit);
  const heads = chart.lines.map((line) => el("th", { scope: "col" }, line.label));
  const body = rows(chart, range).map((row) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, clockMinutes(row.at)),
      ...row.values.map((value) => el("td", {}, value === null ? "no sample" : format(value))),
    ),
  );
  return el(
    "table",
    { class: "values" },
    el("caption", {}, `${chart.title}, ${ROWS} readings`),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Time"), ...heads)),
    el("tbody", {}, ...body),
  );
}
