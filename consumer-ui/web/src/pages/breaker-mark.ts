/** A breaker's state as a word and a shape, so that it is told without any colour, too. */

import { breakerDetail, MEANINGS } from "../breaker";
import { el, setAttribute, setText, svg } from "../dom";
import type { Breaker, BreakerState } from "../model";

/** On a 16 × 16 grid: a disc with a tick, a disc half full, an octagon with a cross. */
const SHAPES: Record<BreakerState, { body: string; sign: string }> = {
  CLOSED: { body: "M8 1.500a6.500 6.500 0 1 0 0 13a6.500 6.500 0 1 0 0-13z", sign: "M5 8.200l2.100 2.100 3.900-4.400" },
  HALF_OPEN: { body: "M8 1.500a6.500 6.500 0 0 0 0 13z", sign: "M8 2a6 6 0 0 1 0 12z" },
  OPEN: { body: "M5.200 1.300h5.600l3.900 3.900v5.600l-3.900 3.900H5.200l-3.900-3.900V5.200z", sign: "M5.600 5.600l4.800 4.800M10.400 5.600l-4.800 4.800" },
};

export class BreakerMark {
  readonly #body = svg("path", { class: "breaker-body" });
  readonly #sign = svg("path", { class: "breaker-sign" });
  readonly #word = el("span", { class: "breaker-word" });
  readonly #detail = el("span", { class: "breaker-detail" });
  readonly element = el(
    "span",
    { class: "breaker" },
    svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, this.#body, this.#sign),
    el("span", { class: "breaker-text" }, this.#word, this.#detail),
  );

  show(breaker: Breaker, now: number): void {
    const { word, level, explained } = MEANINGS[breaker.state];
    const shape = SHAPES[breaker.state];
    setAttribute(this.#body, "d", shape.body);
    setAttribute(this.#sign, "d", shape.sign);
    setText(this.#word, word);
    setText(this.#detail, breakerDetail(breaker, now));
    setAttribute(this.element, "title", explained);
    setAttribute(this.element, "data-state", breaker.state);
    setAttribute(this.element, "data-level", level);
  }
}
