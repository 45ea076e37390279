/** The last minute as a line beside a number. Decoration: the number says it too. */

import { setAttribute, svg } from "../dom";

export const WIDTH = 72;
export const HEIGHT = 20;

/** One piece of path per run of known values; the newest is at the right edge. */
export function sparkPath(values: readonly (number | null)[], top: number, capacity: number): string {
  const step = WIDTH / (capacity - 1);
  const offset = capacity - values.length;
  let path = "";
  let drawing = false;
  values.forEach((value, index) => {
    if (value === null) {
      drawing = false;
      return;
    }
    const x = ((offset + index) * step).toFixed(1);
    const y = (HEIGHT - 1 - (Math.min(Math.max(value / top, 0), 1) * (HEIGHT - 2))).toFixed(1);
    path += `${drawing ? "L" : "M"}${x} ${y}`;
    drawing = true;
  });
  return path;
}

export class Sparkline {
  readonly #path = svg("path", { fill: "none", "vector-effect": "non-scaling-stroke" });
  readonly element = svg(
    "svg",
    { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    this.#path,
  );

  show(values: readonly (number | null)[], top: number, capacity: number): void {
    setAttribute(this.#path, "d", sparkPath(values, top, capacity));
  }
}
