/**
 * One topic and who reads it: publishers → topic → groups. The arrows' thickness grows with the
 * rate (logarithmically), they move while messages flow, and stop being calm where a group lags.
 */

import { Sparkline } from "../charts/sparkline";
import { arrange, el, setAttribute, setText, svg } from "../dom";
import { bytes, bytesPerSecond, count, duration, perSecond, plural } from "../format";
import type { Group, Topic } from "../model";
import { isDeadLetter, lagLevel } from "../order";
import { RECENT } from "../store";

const GROUP_HEIGHT = 64;
const FLOW_WIDTH = 120;

/** 1 px for a trickle, 9 px for 100,000 messages per second. */
export function thickness(rate: number | null): number {
  return rate === null || rate <= 0 ? 1 : Math.min(1.5 + 1.5 * Math.log10(1 + rate), 9);
}

class Arrow {
  readonly #bed = svg("path", { class: "bed", fill: "none" });
  readonly #water = svg("path", { class: "water", fill: "none" });
  readonly element = svg("g", {}, this.#bed, this.#water);

  show(from: number, to: number, rate: number | null, level: string): void {
    const middle = FLOW_WIDTH / 2;
    const path = `M0 ${from}C${middle} ${from} ${middle} ${to} ${FLOW_WIDTH} ${to}`;
    const width = thickness(rate);
    for (const part of [this.#bed, this.#water]) setAttribute(part, "d", path);
    setAttribute(this.#bed, "stroke-width", width.toFixed(1));
    setAttribute(this.#water, "stroke-width", Math.max(width * 0.5, 1).toFixed(1));
    setAttribute(this.element, "data-level", level);
    setAttribute(this.element, "data-flows", String(rate !== null && rate > 0));
  }
}

class GroupBox {
  readonly #lag = el("span", { class: "lag" });
  readonly #age = el("span", { class: "age" });
  readonly #flight = el("span", { class: "number" });
  readonly #again = el("span", { class: "number" });
  readonly element: HTMLElement;

  constructor(group: string) {
    const fact = (name: string, value: HTMLElement) => el("span", { class: "fact" }, value, el("span", { class: "fact-name" }, name));
    this.element = el(
      "li",
      { class: "group" },
      el("span", { class: "group-name", title: group }, group),
      el("span", { class: "group-lag" }, this.#lag, this.#age),
      el("span", { class: "group-facts" }, fact("in flight", this.#flight), fact("redelivered", this.#again)),
    );
  }

  show(group: Group): void {
    setAttribute(this.element, "data-level", lagLevel(group));
    const caughtUp = group.lag_records === 0;
    setText(this.#lag, caughtUp ? "caught up" : `${count(group.lag_records)} behind`);
    setText(this.#age, caughtUp ? "" : `oldest ${duration(group.lag_seconds)}`);
    setText(this.#flight, count(group.in_flight));
    setText(this.#again, count(group.redelivered));
    setAttribute(this.#again, "data-level", group.redelivered > 0 ? "warn" : "ok");
  }
}

export class TopicFlow {
  readonly element: HTMLElement;
  readonly focusable: HTMLElement;
  readonly #rate = el("span", { class: "rate" });
  readonly #size = el("span", { class: "detail" });
  readonly #spark = new Sparkline();
  readonly #svg = svg("svg", { class: "arrows", "aria-hidden": "true", preserveAspectRatio: "none" });
  readonly #list = el("ul", { class: "groups" });
  readonly #nobody = el("p", { class: "nobody" }, "No group reads this topic");
  readonly #groups = new Map<string, { box: GroupBox; arrow: Arrow }>();
  readonly #stub = new Arrow();

  constructor(topic: string) {
    const chip = isDeadLetter(topic) ? el("span", { class: "chip", "data-level": "bad" }, "dead letters") : null;
    const name = el("h2", { title: topic }, topic);
    this.focusable = el("div", { class: "topic", tabindex: "0" }, el("div", { class: "topic-name" }, name, chip), el("div", { class: "topic-rate" }, this.#rate, this.#spark.element), this.#size);
    this.element = el("section", { class: "flow-row", "aria-label": `Topic ${topic}` }, this.focusable, this.#svg, el("div", { class: "readers" }, this.#list, this.#nobody));
  }

  show(topic: Topic, recent: readonly (number | null)[]): void {
    setText(this.#rate, topic.publish_per_second === null ? "rate not known yet" : `${perSecond(topic.publish_per_second)}  ·  ${bytesPerSecond(topic.bytes_per_second)}`);
    setText(this.#size, `${plural(topic.records, "record")} · ${bytes(topic.bytes)} · ${plural(topic.partitions, "partition")}`);
    const top = Math.max(1, ...recent.map((value) => value ?? 0));
    this.#spark.show(recent, top * 1.1, RECENT);
    this.#nobody.hidden = topic.groups.length > 0;
    this.#list.hidden = topic.groups.length === 0;
    this.#showGroups(topic);
  }

  #showGroups(topic: Topic): void {
    const names = new Set(topic.groups.map((group) => group.group));
    for (const name of this.#groups.keys()) if (!names.has(name)) this.#groups.delete(name);
    const height = Math.max(topic.groups.length, 1) * GROUP_HEIGHT;
    setAttribute(this.#svg, "viewBox", `0 0 ${FLOW_WIDTH} ${height}`);
    const shown = topic.groups.map((group, index) => {
      const parts = this.#group(group.group);
      parts.box.show(group);
      parts.arrow.show(height / 2, (index + 0.5) * GROUP_HEIGHT, topic.publish_per_second, lagLevel(group));
      return parts;
    });
    this.#stub.show(height / 2, height / 2, null, "none");
    arrange(this.#list, shown.map((parts) => parts.box.element));
    arrange(this.#svg, shown.length === 0 ? [this.#stub.element] : shown.map((parts) => parts.arrow.element));
  }

  #group(name: string): { box: GroupBox; arrow: Arrow } {
    const parts = this.#groups.get(name) ?? { box: new GroupBox(name), arrow: new Arrow() };
    this.#groups.set(name, parts);
    return parts;
  }
}
