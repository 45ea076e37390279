/** One machine: facts, its figures now, the last hour in charts, its filesystems. */

import { Panel } from "../charts/panel";
import { arrange, el, setAttribute, setText } from "../dom";
import { ago, bytes, bytesPerSecond, clock, duration, load, percent } from "../format";
import type { NodeDetail, NodeSummary } from "../model";
import { CPU, DISK, LOAD_PER_CORE, level, loadPerCore, MEMORY } from "../order";
import { FLEET, type Range, type Route, WINDOWS, type WindowName, windowLength } from "../router";
import { Filesystems } from "./filesystems";
import type { Page, Shell, View } from "./page";
import { empty, link, Marks, StateMark, Tile } from "./parts";

type NodeRoute = Extract<Route, { page: "node" }>;

export class NodePage implements Page {
  readonly search = null;
  readonly element: HTMLElement;
  readonly #shell: Shell;
  #route: NodeRoute;
  readonly #state = new StateMark();
  readonly #seen = el("span", { class: "seen-at" });
  readonly #marks = new Marks();
  readonly #facts = el("dl", { class: "facts" });
  #factsShown = "";
  readonly #tiles = {
    cpu: new Tile("CPU", true),
    memory: new Tile("Memory", true),
    disk: new Tile("Fullest disk", true),
    network: new Tile("Network"),
    load: new Tile("Load, 1 min"),
    uptime: new Tile("Uptime"),
  };
  readonly #windows = new Map<WindowName, HTMLButtonElement>();
  readonly #range = el("button", { type: "button", class: "chip-button" });
  readonly #panels = new Map<string, Panel>();
  readonly #charts = el("div", { class: "charts" });
  readonly #filesystems = new Filesystems();
  readonly #content: HTMLElement;
  readonly #nothing = el("div");

  constructor(shell: Shell, route: NodeRoute) {
    this.#shell = shell;
    this.#route = route;
    this.#range.hidden = true;
    this.#range.addEventListener("click", () => this.#zoom(null));
    const tiles = el("div", { class: "tiles" }, ...Object.values(this.#tiles).map((tile) => tile.element));
    this.#content = el("div", { class: "content" }, this.#facts, tiles, this.#timeBar(), this.#charts, this.#filesystems.element);
    this.element = el("div", { class: "page" }, this.#bar(), this.#nothing, this.#content);
  }

  title(): string {
    return this.#route.node;
  }

  update(view: View): void {
    if (view.route.page !== "node") return;
    this.#route = view.route;
    const { node, missingNode } = view.state;
    this.#showNothing(node !== null ? "" : missingNode !== null ? "missing" : "loading");
    if (node === null) return;
    this.#showSummary(node.summary, view.now);
    this.#showFacts(node);
    this.#showWindow(view.route);
    this.#showCharts(node, rangeOf(view));
    this.#filesystems.show(node.filesystems);
  }

  items(): HTMLElement[] {
    return [...this.#charts.children].flatMap((child) => child.querySelector<HTMLElement>(".plot") ?? []);
  }

  themeChanged(): void {
    for (const panel of this.#panels.values()) panel.repaint();
  }

  close(): void {
    for (const panel of this.#panels.values()) panel.close();
  }

  #bar(): HTMLElement {
    const trail = el("nav", { class: "trail", "aria-label": "Path" }, link(FLEET, "Fleet"), el("span", { "aria-hidden": "true" }, "/"));
    const name = el("h1", { class: "name", title: this.#route.node }, this.#route.node);
    return el("div", { class: "bar" }, trail, name, this.#state.element, this.#seen, this.#marks.element);
  }

  #timeBar(): HTMLElement {
    const buttons = (Object.keys(WINDOWS) as WindowName[]).map((window) => {
      const button = el("button", { type: "button", "aria-pressed": "false" }, window);
      button.addEventListener("click", () => this.#shell.go({ ...this.#route, window, range: null }, "replace"));
      this.#windows.set(window, button);
      return button;
    });
    const group = el("div", { class: "segmented", role: "group", "aria-label": "Time shown" }, ...buttons);
    const hint = el("span", { class: "hint" }, "Drag in a chart to zoom");
    return el("div", { class: "time-bar" }, group, this.#range, el("span", { class: "grow" }), hint);
  }

  #zoom(range: Range | null): void {
    this.#shell.go({ ...this.#route, range });
  }

  #showNothing(kind: "" | "missing" | "loading"): void {
    this.#content.hidden = kind !== "";
    this.#state.element.hidden = kind !== "";
    if (this.#nothing.getAttribute("data-kind") === kind) return;
    this.#nothing.setAttribute("data-kind", kind);
    if (kind === "") this.#nothing.replaceChildren();
    else if (kind === "loading") this.#nothing.replaceChildren(el("p", { class: "loading" }, "Loading the last hour…"));
    else this.#nothing.replaceChildren(empty("Nothing is known of this node", "No agent has reported under this name within the last 24 hours. The page fills as soon as one does."));
  }

  #showSummary(node: NodeSummary, now: number): void {
    this.#state.show(node.state);
    setText(this.#seen, node.state === "live" ? "" : `last seen ${ago(now - node.last_seen)}`);
    this.#marks.show(node);
    const tiles = this.#tiles;
    const cpu = level(node.cpu_busy_ratio, CPU);
    tiles.cpu.show(percent(node.cpu_busy_ratio), node.cores === null ? "" : `of ${node.cores} cores`, cpu);
    tiles.cpu.showRatio(node.cpu_busy_ratio, cpu);
    const memory = level(node.memory_used_ratio, MEMORY);
    tiles.memory.show(percent(node.memory_used_ratio), node.memory_total_bytes === null ? "" : `of ${bytes(node.memory_total_bytes)}`, memory);
    tiles.memory.showRatio(node.memory_used_ratio, memory);
    const disk = level(node.disk_used_ratio, DISK);
    tiles.disk.show(percent(node.disk_used_ratio), node.disk_mountpoint ?? "", disk);
    tiles.disk.showRatio(node.disk_used_ratio, disk);
    tiles.network.show(`↓ ${bytesPerSecond(node.network_receive_bytes_per_second)}`, `↑ ${bytesPerSecond(node.network_transmit_bytes_per_second)}`);
    const perCore = loadPerCore(node);
    tiles.load.show(load(node.load1), perCore === null ? "" : `${load(perCore)} per core`, level(perCore, LOAD_PER_CORE));
    tiles.uptime.show(duration(node.uptime_seconds), node.uptime_seconds === null ? "" : "since the last boot");
  }

  #showFacts(node: NodeDetail): void {
    const { info, summary } = node;
    const facts: [string, string | null | undefined][] = [
      ["System", info?.os ?? summary.os],
      ["Kernel", info?.kernel],
      ["Processor", info === null ? null : `${info.cpu_model}, ${info.cores} cores`],
      ["Agent", info?.agent_version ?? summary.agent_version],
      ["Boot", info?.boot_id],
    ];
    const shown = JSON.stringify(facts);
    if (shown === this.#factsShown) return;
    this.#factsShown = shown;
    const known = facts.filter((fact): fact is [string, string] => fact[1] !== null && fact[1] !== undefined);
    this.#facts.replaceChildren(...known.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", { title: value }, value))));
  }

  #showWindow(route: NodeRoute): void {
    for (const [name, button] of this.#windows) {
      setAttribute(button, "aria-pressed", String(route.range === null && name === route.window));
    }
    this.#range.hidden = route.range === null;
    if (route.range !== null) setText(this.#range, `${clock(route.range.from)} – ${clock(route.range.to)}  ✕ back to live`);
  }

  #showCharts(node: NodeDetail, range: Range): void {
    const ids = new Set(node.charts.map((chart) => chart.id));
    for (const [id, panel] of this.#panels) if (!ids.has(id)) this.#drop(id, panel);
    const elements = node.charts.map((chart) => {
      let panel = this.#panels.get(chart.id);
      if (panel !== undefined && !panel.fits(chart)) panel = this.#drop(chart.id, panel);
      panel ??= new Panel(chart, range, { say: (text) => this.#shell.say(text), zoom: (zoomed) => this.#zoom(zoomed) });
      this.#panels.set(chart.id, panel);
      panel.update(chart, range);
      return panel.element;
    });
    arrange(this.#charts, elements);
  }

  #drop(id: string, panel: Panel): undefined {
    panel.close();
    this.#panels.delete(id);
  }
}

/** Ends now: what is missing at the right edge has not arrived. A sample from a clock ahead of ours is shown too. */
function rangeOf(view: View): Range {
  if (view.route.page === "node" && view.route.range !== null) return view.route.range;
  const asked = view.route.page === "node" ? view.route.window : "1h";
  const charts = view.state.node?.charts ?? [];
  const newest = Math.max(...charts.map((chart) => chart.time.at(-1) ?? 0), 0);
  const oldest = Math.min(...charts.map((chart) => chart.time.at(0) ?? Number.POSITIVE_INFINITY), newest);
  const to = Math.floor(Math.max(view.now, newest) / 1000) * 1000;
  return { from: to - windowLength(asked, to - oldest), to };
}
