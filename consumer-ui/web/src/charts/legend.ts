/** Names, colours and the values under the cursor; a name is a button that hides its line. */

import { el, setAttribute, setText } from "../dom";
import { byUnit } from "../format";
import type { Chart } from "../model";
import { isHeat } from "./heat";
import { lineColor, type Palette } from "./palette";

interface Item {
  button: HTMLButtonElement;
  swatch: HTMLElement;
  value: HTMLElement;
}

export class Legend {
  readonly element = el("div", { class: "legend" });
  readonly #items: Item[];

  constructor(chart: Chart, toggle: (label: string) => void) {
    this.#items = chart.lines.map((line) => {
      const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
      const value = el("span", { class: "value" });
      const name = el("span", { class: "name" }, line.label);
      const button = el("button", { type: "button", "aria-pressed": "true", title: line.label }, swatch, name, value);
      button.addEventListener("click", () => toggle(line.label));
      return { button, swatch, value };
    });
    this.element.classList.toggle("plain", isHeat(chart));
    this.element.append(...this.#items.map((item) => item.button));
  }

  paint(chart: Chart, hidden: ReadonlySet<string>, palette: Palette): void {
    this.#items.forEach((item, index) => {
      const label = chart.lines[index]?.label ?? "";
      item.swatch.style.backgroundColor = lineColor(palette, label, index, chart.lines.length);
      setAttribute(item.button, "aria-pressed", String(!hidden.has(label)));
    });
  }

  show(chart: Chart, index: number): void {
    const format = byUnit(chart.unit);
    this.#items.forEach((item, line) => setText(item.value, format(chart.lines[line]?.values[index])));
  }
}
