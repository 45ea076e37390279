/** One chart on the node page: plot, legend, keys, table. */

import type uPlot from "uplot";
import { el, setAttribute, setText } from "../dom";
import { clock } from "../format";
import type { Chart } from "../model";
import type { Range } from "../router";
import { indexAt } from "../series";
import { Legend } from "./legend";
import { readPalette } from "./palette";
import { buildPlot, moveCursor, plotData } from "./plot";
import { sentence, valueTable } from "./reading";

const TABLE_EVERY_MS = 60_000;
const BIG_STEP = 30;

export interface PanelEvents {
  say: (text: string) => void;
  zoom: (range: Range | null) => void;
}

export class Panel {
  readonly element: HTMLElement;
  /** What the keyboard moves between. */
  readonly focusable: HTMLElement;
  #chart: Chart;
  #range: Range;
  #plot: uPlot | null = null;
  #drawn: { chart: Chart; from: number; to: number } | null = null;
  #visible = false;
  #tableAt = Number.NEGATIVE_INFINITY;
  /** The sample the keyboard stands on; it stays put while time moves on. */
  #readAt: number | null = null;
  readonly #time = el("span", { class: "at" });
  readonly #hidden = new Set<string>();
  readonly #legend: Legend;
  readonly #table = el("div", { class: "table visually-hidden" });
  readonly #events: PanelEvents;
  readonly #resize: ResizeObserver;
  readonly #seen: IntersectionObserver;

  constructor(chart: Chart, range: Range, events: PanelEvents) {
    this.#chart = chart;
    this.#range = range;
    this.#events = events;
    this.#legend = new Legend(chart, (label) => this.#toggle(label));
    this.focusable = el("div", {
      class: "plot",
      tabindex: "0",
      role: "application",
      "aria-roledescription": "chart",
      "aria-label": `${chart.title}. Left and right arrow keys read the values; Page Up and Page Down move further.`,
      "data-chart": chart.id,
    });
    this.element = el("section", { class: "panel", "aria-label": chart.title }, this.#head(), this.focusable, this.#legend.element, this.#table);
    this.focusable.addEventListener("keydown", (event) => this.#key(event));
    this.focusable.addEventListener("dblclick", () => events.zoom(null));
    this.focusable.addEventListener("blur", () => this.#stopReading());
    this.focusable.addEventListener("pointermove", () => (this.#readAt = null));
    this.#resize = new ResizeObserver(() => this.#fit());
    this.#resize.observe(this.focusable);
    this.#seen = new IntersectionObserver((entries) => this.#scrolled(entries), { rootMargin: "200px" });
    this.#seen.observe(this.element);
  }

  /** Whether the panel can take `chart`: the same lines in the same order. */
  fits(chart: Chart): boolean {
    const lines = this.#chart.lines;
    return chart.lines.length === lines.length && chart.lines.every((line, index) => line.label === lines[index]?.label);
  }

  update(chart: Chart, range: Range): void {
    this.#chart = chart;
    this.#range = range;
    if (this.#visible) this.#draw();
    this.#showValues();
    if (performance.now() - this.#tableAt > TABLE_EVERY_MS) this.#fillTable();
  }

  /** After a change of theme: colours are baked into the canvas. */
  repaint(): void {
    this.#destroyPlot();
    if (this.#visible) this.#draw();
  }

  close(): void {
    this.#resize.disconnect();
    this.#seen.disconnect();
    this.#destroyPlot();
  }

  #head(): HTMLElement {
    const button = el("button", { type: "button", class: "quiet small", "aria-pressed": "false" }, "Table");
    button.addEventListener("click", () => {
      const hidden = this.#table.classList.toggle("visually-hidden");
      setAttribute(button, "aria-pressed", String(!hidden));
      this.#fillTable();
    });
    return el("header", {}, el("h3", {}, this.#chart.title), this.#time, button);
  }

  #draw(): void {
    if (this.#plot === null) this.#build();
    else if (this.#isStale()) this.#redraw(this.#plot);
  }

  #isStale(): boolean {
    const drawn = this.#drawn;
    return drawn?.chart !== this.#chart || drawn.from !== this.#range.from || drawn.to !== this.#range.to;
  }

  #redraw(plot: uPlot): void {
    plot.batch(() => {
      plot.setData(plotData(this.#chart, this.#hidden), false);
      plot.setScale("x", { min: this.#range.from, max: this.#range.to });
    });
    if (this.#readAt !== null) moveCursor(plot, this.#readAt);
    this.#remember();
  }

  #build(): void {
    const palette = readPalette();
    this.#legend.paint(this.#chart, this.#hidden, palette);
    this.#plot = buildPlot(this.#chart, this.#hidden, palette, this.focusable, {
      range: () => this.#range,
      moved: () => this.#showValues(),
      selected: (range) => this.#events.zoom(range),
    });
    this.#remember();
  }

  #remember(): void {
    this.#drawn = { chart: this.#chart, from: this.#range.from, to: this.#range.to };
    const last = this.#chart.time.at(-1);
    setAttribute(this.focusable, "data-last", last === undefined ? null : String(last));
  }

  #destroyPlot(): void {
    this.#plot?.destroy();
    this.#plot = null;
  }

  #fit(): void {
    const width = this.focusable.clientWidth;
    if (this.#plot !== null && width > 0 && width !== this.#plot.width) {
      this.#plot.setSize({ width, height: this.#plot.height });
    }
  }

  #scrolled(entries: IntersectionObserverEntry[]): void {
    this.#visible = entries.at(-1)?.isIntersecting ?? false;
    if (this.#visible) this.#draw();
  }

  #toggle(label: string): void {
    if (!this.#hidden.delete(label)) this.#hidden.add(label);
    this.repaint();
  }

  /** The sample under the cursor, else the last one in view. */
  #index(): number {
    if (this.#readAt !== null) return indexAt(this.#chart.time, this.#readAt);
    return this.#plot?.cursor.idx ?? indexAt(this.#chart.time, this.#range.to);
  }

  #showValues(): void {
    const index = this.#index();
    const at = this.#chart.time[index];
    const pointed = this.#readAt !== null || typeof this.#plot?.cursor.idx === "number";
    setText(this.#time, pointed && at !== undefined ? clock(at) : "");
    this.#legend.show(this.#chart, index);
  }

  #stopReading(): void {
    if (this.#readAt === null) return;
    this.#readAt = null;
    this.#plot?.setCursor({ left: -10, top: -10 });
    this.#showValues();
  }

  #fillTable(): void {
    this.#tableAt = performance.now();
    this.#table.replaceChildren(valueTable(this.#chart, this.#range));
  }

  #key(event: KeyboardEvent): void {
    const target = this.#target(event.key);
    if (target === null || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const first = Math.max(indexAt(this.#chart.time, this.#range.from - 1) + 1, 0);
    const last = indexAt(this.#chart.time, this.#range.to);
    this.#read(Math.min(Math.max(target, first), last));
  }

  #target(key: string): number | null {
    const index = this.#index();
    switch (key) {
      case "ArrowLeft":
        return index - 1;
      case "ArrowRight":
        return index + 1;
      case "PageUp":
        return index - BIG_STEP;
      case "PageDown":
        return index + BIG_STEP;
      case "Home":
        return 0;
      case "End":
        return this.#chart.time.length - 1;
      default:
        return null;
    }
  }

  #read(index: number): void {
    const plot = this.#plot;
    const at = this.#chart.time[index];
    if (plot === null || at === undefined) return;
    this.#readAt = at;
    moveCursor(plot, at);
    this.#events.say(sentence(this.#chart, index, this.#hidden));
  }
}
