/** All the page knows about the world, and the only ways it changes. */

import type { Fleet, NodeDetail, Points, Topics } from "./model";
import { withGaps, withPoints } from "./series";

export type Link = "connecting" | "open" | "lost";

/** How many of the latest values a small line beside a number shows. */
export const RECENT = 60;

export type Recent = ReadonlyMap<string, readonly (number | null)[]>;

export interface State {
  link: Link;
  fleet: Fleet | null;
  /** Milliseconds to add to the viewer's clock to get the server's. */
  clockOffset: number;
  cpuRecent: Recent;
  topics: Topics | null;
  publishRecent: Recent;
  node: NodeDetail | null;
  /** The node that was asked for and does not exist. */
  missingNode: string | null;
}

export const INITIAL: State = {
  link: "connecting",
  fleet: null,
  clockOffset: 0,
  cpuRecent: new Map(),
  topics: null,
  publishRecent: new Map(),
  node: null,
  missingNode: null,
};

export class Store {
  #state = INITIAL;
  readonly #listeners = new Set<() => void>();

  get state(): State {
    return this.#state;
  }

  change(change: (state: State) => State): void {
    this.#state = change(this.#state);
    for (const listener of this.#listeners) listener();
  }

  subscribe(listener: () => void): void {
    this.#listeners.add(listener);
  }
}

export function linked(state: State, link: Link): State {
  return { ...state, link };
}

export function gotFleet(state: State, fleet: Fleet, localNow: number): State {
  const values = fleet.nodes.map((node) => [node.node, node.state === "live" ? node.cpu_busy_ratio : null] as const);
  const node = state.node === null ? null : withSummary(state.node, fleet);
  const cpuRecent = remembered(state.cpuRecent, values);
  return { ...state, fleet, node, cpuRecent, clockOffset: fleet.now - localNow };
}

function withSummary(detail: NodeDetail, fleet: Fleet): NodeDetail {
  const summary = fleet.nodes.find((node) => node.node === detail.summary.node);
  return summary === undefined ? detail : { ...detail, summary };
}

export function gotTopics(state: State, topics: Topics): State {
  const values = topics.topics.map((topic) => [topic.topic, topic.publish_per_second] as const);
  return { ...state, topics, publishRecent: remembered(state.publishRecent, values) };
}

/** Who is no longer named is forgotten: the map never outgrows the fleet. */
export function remembered(recent: Recent, values: readonly (readonly [string, number | null])[]): Recent {
  return new Map(values.map(([name, value]) => [name, [...(recent.get(name) ?? []), value].slice(-RECENT)]));
}

export function gotNode(state: State, detail: NodeDetail): State {
  const charts = detail.charts.map((chart) => withGaps(chart));
  return { ...state, node: { ...detail, charts }, missingNode: null };
}

export function leftNode(state: State): State {
  return { ...state, node: null, missingNode: null };
}

export function nodeIsMissing(state: State, node: string): State {
  return { ...state, node: null, missingNode: node };
}

/** The new state, or `null` where the node must be fetched again. */
export function gotPoints(state: State, points: Points): State | null {
  if (state.node === null) return state;
  const node = withPoints(state.node, points);
  return node === null ? null : { ...state, node };
}

/** The server's clock, as far as the last event told. */
export function serverNow(state: State, localNow: number): number {
  return localNow + state.clockOffset;
}
