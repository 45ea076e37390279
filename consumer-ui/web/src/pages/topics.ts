/** The messages' flow: what comes in, where it lies, who reads it and how far behind, whom it is pushed to. */

import { openCount } from "../breaker";
import { arrange, el } from "../dom";
import { bytes, bytesPerSecond, count, duration, perSecond, plural } from "../format";
import type { Topic, Topics } from "../model";
import { type Level, lagLevel, matchesTopic, sortedTopics } from "../order";
import type { Route } from "../router";
import { DeliveryTables } from "./delivery";
import type { Page, Shell, View } from "./page";
import { empty, searchBox, Tile } from "./parts";
import { TopicFlow } from "./topic-flow";

type TopicsRoute = Extract<Route, { page: "topics" }>;

export class TopicsPage implements Page {
  readonly search: HTMLInputElement;
  readonly element: HTMLElement;
  #route: TopicsRoute = { page: "topics", filter: "" };
  readonly #tiles = { rate: new Tile("Published"), bytes: new Tile("Throughput"), stored: new Tile("Stored"), lag: new Tile("Behind"), flight: new Tile("In flight") };
  readonly #tileRow: HTMLElement;
  readonly #flows = new Map<string, TopicFlow>();
  readonly #list = el("div", { class: "flows" });
  readonly #nothing = el("div");
  readonly #delivery = new DeliveryTables();
  #shown: TopicFlow[] = [];

  constructor(shell: Shell) {
    this.search = searchBox("Filter topics and workers", (filter) => shell.go({ ...this.#route, filter }, "replace"));
    this.#tileRow = el("div", { class: "tiles" }, ...Object.values(this.#tiles).map((tile) => tile.element));
    const heads = el("div", { class: "flow-heads", "aria-hidden": "true" }, el("span", {}, "Topic"), el("span"), el("span", {}, "Groups reading it"));
    const bar = el("div", { class: "bar" }, el("h1", {}, "Topics"), el("span", { class: "grow" }), this.search);
    this.element = el("div", { class: "page" }, bar, this.#tileRow, this.#nothing, heads, this.#list, this.#delivery.element);
  }

  title(view: View): string {
    const { topics } = view.state;
    const open = topics === null ? 0 : openCount(topics.delivery);
    return open === 0 ? "Topics" : `(${open} open) Topics`;
  }

  update(view: View): void {
    if (view.route.page !== "topics") return;
    this.#route = view.route;
    if (this.search.value !== view.route.filter) this.search.value = view.route.filter;
    const { topics } = view.state;
    const shown = sortedTopics((topics?.topics ?? []).filter((topic) => matchesTopic(topic, this.#route.filter)));
    if (topics !== null) this.#showTiles(topics.topics);
    this.#showFlows(shown, topics, view);
    const targetsShown = topics !== null && this.#delivery.show(topics.delivery, this.#route.filter, view.now);
    this.#delivery.element.hidden = topics === null;
    this.element.toggleAttribute("data-empty", shown.length === 0);
    this.#showNothing(topics, shown.length > 0, targetsShown);
  }

  items(): HTMLElement[] {
    return [...this.#shown.map((flow) => flow.focusable), ...this.#delivery.items()];
  }

  themeChanged(): void {}
  close(): void {}

  #showTiles(topics: readonly Topic[]): void {
    const groups = topics.flatMap((topic) => topic.groups);
    const behind = sum(groups, (group) => group.lag_records);
    const oldest = Math.max(0, ...groups.map((group) => (group.lag_records > 0 ? group.lag_seconds : 0)));
    const levels = groups.map(lagLevel);
    const worst: Level = levels.includes("bad") ? "bad" : levels.includes("warn") ? "warn" : "ok";
    const tiles = this.#tiles;
    tiles.rate.show(perSecond(total(topics, (topic) => topic.publish_per_second)), `into ${plural(topics.length, "topic")}`);
    tiles.bytes.show(bytesPerSecond(total(topics, (topic) => topic.bytes_per_second)), "payload and framing");
    tiles.stored.show(bytes(sum(topics, (topic) => topic.bytes)), plural(sum(topics, (topic) => topic.records), "record"));
    tiles.lag.show(count(behind), behind === 0 ? `${plural(groups.length, "group")}, all caught up` : `oldest waits ${duration(oldest)}`, worst);
    tiles.flight.show(count(sum(groups, (group) => group.in_flight)), `${count(sum(groups, (group) => group.redelivered))} redelivered`);
  }

  #showFlows(shown: readonly Topic[], topics: Topics | null, view: View): void {
    const present = new Set(topics?.topics.map((topic) => topic.topic));
    for (const name of this.#flows.keys()) if (!present.has(name)) this.#flows.delete(name);
    this.#shown = shown.map((topic) => {
      const flow = this.#flows.get(topic.topic) ?? new TopicFlow(topic.topic);
      this.#flows.set(topic.topic, flow);
      flow.show(topic, view.state.publishRecent.get(topic.topic) ?? []);
      return flow;
    });
    arrange(this.#list, this.#shown.map((flow) => flow.element));
  }

  #showNothing(topics: Topics | null, topicsShown: boolean, targetsShown: boolean): void {
    const kind = this.#emptiness(topics, topicsShown, targetsShown);
    this.#tileRow.hidden = kind === "loading" || kind === "none";
    if (this.#nothing.getAttribute("data-kind") === kind) return;
    this.#nothing.setAttribute("data-kind", kind);
    this.#nothing.replaceChildren(...this.#reason(kind));
  }

  /** Targets without any topic are no reason to keep silent about how to get one. */
  #emptiness(topics: Topics | null, topicsShown: boolean, targetsShown: boolean): string {
    if (topics === null) return "loading";
    if (topics.topics.length === 0) return "none";
    return topicsShown || targetsShown ? "" : `filtered ${this.#route.filter}`;
  }

  #reason(kind: string): Node[] {
    if (kind === "") return [];
    if (kind === "loading") return [el("p", { class: "loading" }, "Waiting for the first figures…")];
    if (kind === "none") return [empty("No topic yet", "A topic is created by the first message published to it.", `weir produce orders '{"hello":"world"}'`)];
    return [empty(`No topic, group or worker matches “${this.#route.filter}”`, "Escape clears the filter.")];
  }
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((result, item) => result + value(item), 0);
}

/** The sum of what is known; `null` where nothing is. */
function total<T>(items: readonly T[], value: (item: T) => number | null): number | null {
  const known = items.map(value).filter((one) => one !== null);
  return known.length === 0 ? null : known.reduce((result, one) => result + one, 0);
}
