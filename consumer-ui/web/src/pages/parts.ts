/** Pieces that several pages show. */

import { el, setAttribute, setText } from "../dom";
import type { NodeSummary } from "../model";
import { count } from "../format";
import type { Level } from "../order";
import { address, type Route } from "../router";

export function link(route: Route, text: string, className = ""): HTMLAnchorElement {
  const anchor = el("a", className === "" ? {} : { class: className }, text);
  anchor.href = address(route);
  return anchor;
}

/** A bar for a share of a whole; the number stands beside it, so it is decoration. */
export class Meter {
  readonly #fill = el("span", { class: "fill" });
  readonly element = el("span", { class: "meter", "aria-hidden": "true" }, this.#fill);

  show(ratio: number | null, level: Level): void {
    const part = Math.min(Math.max(ratio ?? 0, 0), 1);
    this.#fill.style.transform = `scaleX(${part.toFixed(3)})`;
    setAttribute(this.element, "data-level", level);
  }
}

export class StateMark {
  readonly #text = el("span");
  readonly element = el("span", { class: "state" }, el("span", { class: "dot", "aria-hidden": "true" }), this.#text);

  show(state: NodeSummary["state"]): void {
    setText(this.#text, state);
    setAttribute(this.element, "data-state", state);
  }
}

interface Mark {
  text: string;
  title: string;
  level: Level;
}

export function marksOf(node: NodeSummary): Mark[] {
  const marks: Mark[] = [];
  if (node.failed_collectors.length > 0) {
    const names = node.failed_collectors.join(", ");
    marks.push({ text: `${names} failed`, title: `These collectors of the agent fail: ${names}`, level: "bad" });
  }
  if (node.missed_samples > 0) {
    const text = `${count(node.missed_samples)} missed`;
    marks.push({ text, title: "Samples that never arrived: gaps in the sequence numbers", level: "warn" });
  }
  return marks;
}

export class Marks {
  readonly element = el("span", { class: "marks" });
  #shown = "";

  show(node: NodeSummary): void {
    const marks = marksOf(node);
    const shown = JSON.stringify(marks);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.element.replaceChildren(...marks.map((mark) => el("span", { class: "chip", title: mark.title, "data-level": mark.level }, mark.text)));
  }
}

export function searchBox(label: string, changed: (text: string) => void): HTMLInputElement {
  const input = el("input", { type: "search", class: "search", placeholder: `${label}  ( / )`, "aria-label": label, autocomplete: "off", spellcheck: "false" });
  input.addEventListener("input", () => changed(input.value));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "Escape") input.blur();
  });
  return input;
}

/** Tells what to do where there is nothing to show. */
export function empty(title: string, text: string, command?: string): HTMLElement {
  const code = command === undefined ? null : el("pre", { tabindex: "0" }, el("code", {}, command));
  return el("div", { class: "empty" }, el("h2", {}, title), el("p", {}, text), code);
}

/** A number with its name; the row of them heads a page. */
export class Tile {
  readonly #value = el("span", { class: "tile-value" });
  readonly #detail = el("span", { class: "tile-detail" });
  readonly #meter = new Meter();
  readonly element: HTMLElement;

  constructor(name: string, withMeter = false) {
    const meter = withMeter ? this.#meter.element : null;
    this.element = el("div", { class: "tile" }, el("span", { class: "tile-name" }, name), this.#value, this.#detail, meter);
  }

  show(value: string, detail = "", level: Level = "ok"): void {
    setText(this.#value, value);
    setText(this.#detail, detail === "" ? "\u00a0" : detail);
    setAttribute(this.element, "data-level", level);
  }

  showRatio(ratio: number | null, level: Level): void {
    this.#meter.show(ratio, level);
  }
}
