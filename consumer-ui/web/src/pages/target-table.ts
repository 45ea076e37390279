/** Workers or backends as rows: who, how the breaker is, what was delivered, what went wrong last. */

import { arrange, el, setAttribute, setText } from "../dom";
import { count } from "../format";
import type { Listing, Target, Worker } from "../model";
import { BreakerMark } from "./breaker-mark";

/** Cells that a row of either kind ends with. */
const HEADS = ["Breaker", "In flight", "Delivered", "Failed", "Last error"];

class TargetCells {
  readonly #breaker = new BreakerMark();
  readonly #flight = el("td", { class: "number", "data-label": "In flight" });
  readonly #delivered = el("td", { class: "number", "data-label": "Delivered" });
  readonly #failed = el("td", { class: "number", "data-label": "Failed" });
  readonly #error = el("span", { class: "error-text" });
  readonly elements = [
    el("td", { class: "state-cell", "data-label": "Breaker" }, this.#breaker.element),
    this.#flight,
    this.#delivered,
    this.#failed,
    el("td", { class: "error", "data-label": "Last error" }, this.#error),
  ];

  show(target: Target, concurrency: number | null, now: number): void {
    this.#breaker.show(target.breaker, now);
    setText(this.#flight, concurrency === null ? count(target.in_flight) : `${count(target.in_flight)} / ${count(concurrency)}`);
    setText(this.#delivered, count(target.delivered));
    setText(this.#failed, count(target.failed));
    setAttribute(this.#failed, "data-level", target.failed > 0 ? "warn" : "ok");
    setText(this.#error, target.last_error ?? "");
    setAttribute(this.#error, "title", target.last_error);
  }
}

/** One line of a table; made once for whom it shows, and kept while that is there. */
interface Row<T> {
  readonly element: HTMLElement;
  show(item: T, now: number): void;
}

class WorkerRow implements Row<Worker> {
  readonly #cells = new TargetCells();
  readonly #paused = el("span", { class: "chip" }, "paused");
  readonly element: HTMLElement;

  constructor(worker: Worker) {
    const { topic, group, target } = worker;
    const about = worker.queue === null ? `${group} · #${worker.id}` : `${group} · queue ${worker.queue} · #${worker.id}`;
    const name = el("span", { class: "target-name" }, el("span", { class: "cut", title: topic }, topic), this.#paused);
    const heading = el("th", { scope: "row" }, name, el("span", { class: "detail cut", title: about }, about));
    const address = el("td", { class: "address", title: target, "data-label": "Target" }, el("span", { class: "cut" }, target));
    this.element = el("tr", { tabindex: "0" }, heading, address, ...this.#cells.elements);
  }

  show(worker: Worker, now: number): void {
    this.#paused.hidden = !worker.paused;
    setAttribute(this.element, "data-state", worker.breaker.state);
    this.#cells.show(worker, worker.concurrency, now);
  }
}

class BackendRow implements Row<Target> {
  readonly #cells = new TargetCells();
  readonly element: HTMLElement;

  constructor({ target }: Target) {
    const heading = el("th", { scope: "row" }, el("span", { class: "target-name" }, el("span", { class: "cut", title: target }, target)));
    this.element = el("tr", { tabindex: "0" }, heading, ...this.#cells.elements);
  }

  show(backend: Target, now: number): void {
    setAttribute(this.element, "data-state", backend.breaker.state);
    this.#cells.show(backend, null, now);
  }
}

interface Kind<T> {
  title: string;
  heads: readonly string[];
  key: (item: T, index: number) => string;
  row: (item: T) => Row<T>;
  matches: (item: T, filter: string) => boolean;
}

export class TargetTable<T extends Target> {
  readonly #kind: Kind<T>;
  readonly #rows = new Map<string, Row<T>>();
  readonly #body = el("tbody");
  readonly #total = el("span", { class: "detail" });
  readonly #open = el("span", { class: "chip", "data-level": "bad" });
  readonly element: HTMLElement;
  #shown: HTMLElement[] = [];

  constructor(kind: Kind<T>) {
    this.#kind = kind;
    const heads = kind.heads.map((text) => el("th", { scope: "col" }, text));
    const table = el("table", { class: "targets" }, el("thead", {}, el("tr", {}, ...heads)), this.#body);
    const header = el("header", { class: "section-head" }, el("h2", {}, kind.title), this.#total, this.#open);
    this.element = el("section", { class: "delivery", "aria-label": kind.title }, header, table);
  }

  /** Whether anything is left by the filter. */
  show(listing: Listing<T>, filter: string, now: number): boolean {
    const items = new Map(listing.rows.map((item, index) => [this.#kind.key(item, index), item]));
    for (const key of this.#rows.keys()) if (!items.has(key)) this.#rows.delete(key);
    this.#shown = [...items].filter(([, item]) => this.#kind.matches(item, filter)).map(([key, item]) => this.#row(key, item, now));
    arrange(this.#body, this.#shown);
    setText(this.#total, total(listing));
    setText(this.#open, `${count(listing.open)} open`);
    this.#open.hidden = listing.open === 0;
    this.element.hidden = this.#shown.length === 0;
    return this.#shown.length > 0;
  }

  items(): HTMLElement[] {
    return this.#shown;
  }

  #row(key: string, item: T, now: number): HTMLElement {
    const row = this.#rows.get(key) ?? this.#kind.row(item);
    this.#rows.set(key, row);
    row.show(item, now);
    return row.element;
  }
}

function total(listing: Listing<unknown>): string {
  const { rows, total } = listing;
  return rows.length < total ? `the first ${count(rows.length)} of ${count(total)}, open ones first` : count(total);
}

export function workerTable(matches: Kind<Worker>["matches"]): TargetTable<Worker> {
  // A broker with other data gives the same numbers again.
  const key = ({ id, topic, group, target }: Worker) => JSON.stringify([id, topic, group, target]);
  return new TargetTable({ title: "Workers", heads: ["Topic, group", "Target", ...HEADS], key, row: (worker) => new WorkerRow(worker), matches });
}

export function backendTable(matches: Kind<Target>["matches"]): TargetTable<Target> {
  // The settings may name one twice.
  return new TargetTable({ title: "Backends", heads: ["Target", ...HEADS], key: (backend, index) => `${index} ${backend.target}`, row: (backend) => new BackendRow(backend), matches });
}
