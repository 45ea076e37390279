/** Every node, worst first. */

import { arrange, el, setAttribute, setText } from "../dom";
import { plural } from "../format";
import type { Fleet, NodeState, NodeSummary } from "../model";
import { matches, sorted } from "../order";
import { nodeRoute, type Route, type Sort } from "../router";
import { FleetRow } from "./fleet-row";
import type { Page, Shell, View } from "./page";
import { empty, searchBox } from "./parts";

type FleetRoute = Extract<Route, { page: "fleet" }>;

/** Rows sorted by a moving number change places at most this often. */
const REORDER_MS = 5_000;

const COLUMNS: readonly [Sort, string, string][] = [
  ["name", "Node", "node"],
  ["cpu", "CPU", "share"],
  ["memory", "Memory", "share"],
  ["disk", "Fullest disk", "share"],
  ["network", "Network", "network"],
  ["load", "Load", "load"],
  ["seen", "Last seen", "seen"],
];

const STATES: readonly NodeState[] = ["live", "late", "gone"];

export class FleetPage implements Page {
  readonly search: HTMLInputElement;
  readonly element: HTMLElement;
  #route: FleetRoute = { page: "fleet", filter: "", sort: "worst" };
  readonly #shell: Shell;
  readonly #rows = new Map<string, FleetRow>();
  readonly #counts = new Map<NodeState, HTMLButtonElement>();
  readonly #total = el("span", { class: "total" });
  readonly #heads = new Map<Sort, HTMLElement>();
  readonly #worst = el("button", { type: "button", class: "quiet small worst" }, "Worst first");
  readonly #body = el("tbody", { role: "rowgroup" });
  readonly #table: HTMLElement;
  readonly #nothing = el("div");
  #order: string[] = [];
  #orderKey = "";
  #orderedAt = Number.NEGATIVE_INFINITY;

  constructor(shell: Shell) {
    this.#shell = shell;
    this.search = searchBox("Filter nodes", (filter) => shell.go({ ...this.#route, filter }, "replace"));
    this.#worst.addEventListener("click", () => this.#sortBy("worst"));
    this.#table = el("table", { class: "fleet", role: "table", "aria-label": "Nodes" }, this.#head(), this.#body);
    this.element = el("div", { class: "page" }, this.#bar(), this.#nothing, this.#table);
    this.#body.addEventListener("click", (event) => this.#clicked(event));
  }

  title(): string {
    return "Fleet";
  }

  update(view: View): void {
    if (view.route.page !== "fleet") return;
    this.#route = view.route;
    if (this.search.value !== view.route.filter) this.search.value = view.route.filter;
    this.#showSort(view.route.sort);
    const { fleet } = view.state;
    const shown = fleet === null ? [] : this.#choose(fleet.nodes, view.route);
    this.#showCounts(fleet);
    this.#showRows(shown, view);
    this.#showNothing(fleet, shown.length);
  }

  items(): HTMLElement[] {
    return this.#order.flatMap((node) => this.#rows.get(node)?.link ?? []);
  }

  themeChanged(): void {}
  close(): void {}

  #bar(): HTMLElement {
    const buttons = STATES.map((state) => {
      const button = el("button", { type: "button", class: "count", "data-state": state, "aria-pressed": "false" });
      button.addEventListener("click", () => this.#filterBy(state));
      this.#counts.set(state, button);
      return button;
    });
    const counts = el("div", { class: "counts", role: "group", "aria-label": "Filter by state" }, this.#total, ...buttons);
    return el("div", { class: "bar" }, el("h1", {}, "Fleet"), counts, el("span", { class: "grow" }), this.#worst, this.search);
  }

  #head(): HTMLElement {
    const cells = COLUMNS.map(([sort, text, className]) => {
      const button = el("button", { type: "button" }, text);
      button.addEventListener("click", () => this.#sortBy(sort));
      const head = el("th", { scope: "col", role: "columnheader", class: className }, button);
      this.#heads.set(sort, head);
      return head;
    });
    return el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...cells));
  }

  #sortBy(sort: Sort): void {
    const again = this.#route.sort === sort;
    this.#shell.go({ ...this.#route, sort: again ? "worst" : sort }, "replace");
  }

  #filterBy(state: NodeState): void {
    this.#shell.go({ ...this.#route, filter: this.#route.filter === state ? "" : state }, "replace");
  }

  /** The whole row leads to the node; a selection of text or the link itself does not count. */
  #clicked(event: MouseEvent): void {
    if (!(event.target instanceof Element) || event.target.closest("a") !== null) return;
    if (getSelection()?.isCollapsed === false) return;
    const node = event.target.closest("tr")?.getAttribute("data-node") ?? null;
    if (node !== null) this.#shell.go(nodeRoute(node));
  }

  #choose(nodes: readonly NodeSummary[], route: FleetRoute): NodeSummary[] {
    const chosen = nodes.filter((node) => matches(node, route.filter));
    const key = JSON.stringify([route.filter, route.sort, chosen.map((node) => `${node.state}${node.node}`).sort()]);
    if (key !== this.#orderKey || performance.now() - this.#orderedAt > REORDER_MS) {
      this.#orderKey = key;
      this.#orderedAt = performance.now();
      this.#order = sorted(chosen, route.sort).map((node) => node.node);
    }
    const byName = new Map(chosen.map((node) => [node.node, node]));
    return this.#order.flatMap((name) => byName.get(name) ?? []);
  }

  #showSort(sort: Sort): void {
    for (const [name, head] of this.#heads) {
      const direction = name === "name" ? "ascending" : "descending";
      setAttribute(head, "aria-sort", name === sort ? direction : "none");
    }
    setAttribute(this.#worst, "aria-pressed", String(sort === "worst"));
  }

  #showCounts(fleet: Fleet | null): void {
    const nodes = fleet?.nodes ?? [];
    setText(this.#total, fleet === null ? "" : plural(nodes.length, "node"));
    for (const [state, button] of this.#counts) {
      const number = nodes.filter((node) => node.state === state).length;
      button.hidden = number === 0;
      setText(button, `${number} ${state}`);
      setAttribute(button, "aria-pressed", String(this.#route.filter === state));
    }
  }

  #showRows(nodes: readonly NodeSummary[], view: View): void {
    const elements = nodes.map((node) => {
      const row = this.#row(node.node);
      row.show(node, view.state.cpuRecent.get(node.node) ?? [], view.now);
      return row.element;
    });
    arrange(this.#body, elements);
    const present = new Set(view.state.fleet?.nodes.map((node) => node.node));
    for (const name of this.#rows.keys()) if (!present.has(name)) this.#rows.delete(name);
  }

  #row(node: string): FleetRow {
    const row = this.#rows.get(node) ?? new FleetRow(node);
    this.#rows.set(node, row);
    return row;
  }

  #showNothing(fleet: Fleet | null, shown: number): void {
    this.#table.hidden = shown === 0;
    const kind = shown > 0 ? "" : fleet === null ? "loading" : fleet.nodes.length === 0 ? "none" : `filtered ${this.#route.filter}`;
    if (this.#nothing.getAttribute("data-kind") === kind) return;
    this.#nothing.setAttribute("data-kind", kind);
    this.#nothing.replaceChildren(...this.#reason(kind, fleet));
  }

  #reason(kind: string, fleet: Fleet | null): Node[] {
    if (kind === "") return [];
    if (kind === "loading") return [el("p", { class: "loading" }, "Waiting for the first figures…")];
    if (kind === "none") {
      const command = `weir-agent --broker ${fleet?.broker.url ?? "http://127.0.0.1:5000"} --node $(hostname)`;
      return [empty("No agent has reported yet", "Run the agent on each machine; it appears here within seconds.", command)];
    }
    return [empty(`No node matches “${this.#route.filter}”`, "Names, operating systems, states and failed collectors are searched. Escape clears the filter.")];
  }
}
