/** One node of the fleet table. Built once, then only its texts change. */

import { Sparkline } from "../charts/sparkline";
import { el, setAttribute, setText } from "../dom";
import { ago, bytes, bytesPerSecond, duration, load, percent } from "../format";
import type { NodeSummary } from "../model";
import { CPU, DISK, LOAD_PER_CORE, level, loadPerCore, MEMORY } from "../order";
import { nodeRoute } from "../router";
import { RECENT } from "../store";
import { link, Marks, Meter, StateMark } from "./parts";

class Share {
  readonly #value = el("span", { class: "number" });
  readonly #detail = el("span", { class: "detail" });
  readonly #meter = new Meter();
  readonly cell: HTMLElement;

  constructor(label: string) {
    this.cell = cell(label, "share", el("span", { class: "reading" }, this.#value, this.#detail), this.#meter.element);
  }

  show(ratio: number | null, limits: typeof CPU, detail: string): void {
    const found = level(ratio, limits);
    setText(this.#value, percent(ratio));
    setText(this.#detail, detail);
    setAttribute(this.#value, "data-level", found);
    setAttribute(this.#detail, "title", detail);
    this.#meter.show(ratio, found);
  }
}

function cell(label: string, className: string, ...children: (Node | string)[]): HTMLElement {
  return el("td", { class: className, role: "cell", "data-label": label }, ...children);
}

export class FleetRow {
  readonly link: HTMLAnchorElement;
  readonly element: HTMLElement;
  readonly #state = new StateMark();
  readonly #about = el("span", { class: "about" });
  readonly #marks = new Marks();
  readonly #cpu = el("span", { class: "number" });
  readonly #spark = new Sparkline();
  readonly #cpuMeter = new Meter();
  readonly #memory = new Share("Memory");
  readonly #disk = new Share("Fullest disk");
  readonly #receive = el("span", { class: "number" });
  readonly #transmit = el("span", { class: "number" });
  readonly #load = el("span", { class: "number" });
  readonly #cores = el("span", { class: "detail" });
  readonly #seen = el("span", { class: "number" });

  constructor(node: string) {
    this.link = link(nodeRoute(node), node, "node-link");
    this.link.title = node;
    const name = el("th", { scope: "row", role: "rowheader", class: "node" }, el("span", { class: "node-name" }, this.link, this.#marks.element), el("span", { class: "node-about" }, this.#state.element, this.#about));
    this.element = el("tr", { role: "row", "data-node": node }, name, ...this.#cells());
  }

  show(node: NodeSummary, recent: readonly (number | null)[], now: number): void {
    setAttribute(this.element, "data-state", node.state);
    this.#state.show(node.state);
    setText(this.#about, [node.os, node.uptime_seconds === null ? null : `up ${duration(node.uptime_seconds)}`].filter((text) => text !== null).join(" · "));
    this.#marks.show(node);
    this.#showCpu(node, recent);
    this.#memory.show(node.memory_used_ratio, MEMORY, node.memory_total_bytes === null ? "" : `of ${bytes(node.memory_total_bytes)}`);
    this.#disk.show(node.disk_used_ratio, DISK, node.disk_mountpoint ?? "");
    setText(this.#receive, bytesPerSecond(node.network_receive_bytes_per_second));
    setText(this.#transmit, bytesPerSecond(node.network_transmit_bytes_per_second));
    setText(this.#load, load(node.load1));
    setAttribute(this.#load, "data-level", level(loadPerCore(node), LOAD_PER_CORE));
    setText(this.#cores, node.cores === null ? "" : `/ ${node.cores}`);
    setText(this.#seen, ago(now - node.last_seen));
  }

  #showCpu(node: NodeSummary, recent: readonly (number | null)[]): void {
    setText(this.#cpu, percent(node.cpu_busy_ratio));
    const found = level(node.cpu_busy_ratio, CPU);
    setAttribute(this.#cpu, "data-level", found);
    setAttribute(this.#spark.element, "data-level", found);
    this.#spark.show(recent, 1, RECENT);
    this.#cpuMeter.show(node.cpu_busy_ratio, found);
  }

  #cells(): HTMLElement[] {
    const arrow = (sign: string, meaning: string) => el("span", { class: "arrow", title: meaning, role: "img", "aria-label": meaning }, sign);
    return [
      cell("CPU", "share cpu", el("span", { class: "reading" }, this.#cpu, this.#spark.element), this.#cpuMeter.element),
      this.#memory.cell,
      this.#disk.cell,
      cell("Network", "network", el("span", { class: "flow" }, arrow("↓", "received"), this.#receive), el("span", { class: "flow" }, arrow("↑", "sent"), this.#transmit)),
      cell("Load", "load", this.#load, this.#cores),
      cell("Last seen", "seen", this.#seen),
    ];
  }
}
