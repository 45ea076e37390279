/** Below the topics: whom messages are pushed to, and the partitioned queue. What has no rows is not there. */

import { missingParts } from "../breaker";
import { el, setText } from "../dom";
import { count } from "../format";
import type { Delivery, Gateway } from "../model";
import { matchesBackend, matchesGateway, matchesWorker } from "../order";
import { backendTable, workerTable } from "./target-table";

export class DeliveryTables {
  readonly #workers = workerTable(matchesWorker);
  readonly #backends = backendTable(matchesBackend);
  readonly #gateway = new GatewayTable();
  readonly #missing = el("p", { class: "missing", role: "status" });
  readonly element = el("div", { class: "deliveries" }, this.#workers.element, this.#backends.element, this.#gateway.element, this.#missing);

  /** Whether anything is left by the filter. */
  show(delivery: Delivery, filter: string, now: number): boolean {
    const shown = [
      this.#workers.show(delivery.workers, filter, now),
      this.#backends.show(delivery.backends, filter, now),
      this.#gateway.show(delivery.gateway, filter),
    ];
    setText(this.#missing, missingParts(delivery.missing).join(" "));
    this.#missing.hidden = delivery.missing.length === 0;
    return shown.includes(true);
  }

  items(): HTMLElement[] {
    return [...this.#workers.items(), ...this.#backends.items(), ...this.#gateway.items()];
  }
}

const CELLS: readonly (readonly [string, (gateway: Gateway) => string])[] = [
  ["Topic", (gateway) => gateway.topic],
  ["Consumers", (gateway) => count(gateway.consumers)],
  ["Producers", (gateway) => count(gateway.producers)],
  ["Partitions", (gateway) => count(gateway.partitions)],
  ["Brokers", (gateway) => count(gateway.brokers)],
  ["Messages in the queue", (gateway) => count(gateway.messages_in_queue)],
  ["Sent", (gateway) => count(gateway.sent)],
  ["Received", (gateway) => count(gateway.received)],
];

class GatewayTable {
  readonly #cells = CELLS.map(([label, value], index) => {
    const cell = index === 0 ? el("th", { scope: "row", class: "cut", "data-label": label }) : el("td", { class: "number", "data-label": label });
    return { cell, value };
  });
  readonly #row = el("tr", { tabindex: "0" }, ...this.#cells.map(({ cell }) => cell));
  readonly element: HTMLElement;

  constructor() {
    const heads = CELLS.map(([label]) => el("th", { scope: "col" }, label));
    const table = el("table", { class: "targets gateway" }, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, this.#row));
    this.element = el("section", { class: "delivery", "aria-label": "Partitioned queue" }, el("header", { class: "section-head" }, el("h2", {}, "Partitioned queue")), table);
  }

  show(gateway: Gateway | null, filter: string): boolean {
    const shown = gateway !== null && matchesGateway(gateway, filter);
    this.element.hidden = !shown;
    if (gateway !== null) for (const { cell, value } of this.#cells) setText(cell, value(gateway));
    return shown;
  }

  items(): HTMLElement[] {
    return this.element.hidden ? [] : [this.#row];
  }
}
