/** How bad is it, and who comes first. Pure; the page decides when to ask. */

import type { Gateway, Group, NodeSummary, Target, Topic, Worker } from "./model";
import type { Sort } from "./router";

export type Level = "ok" | "warn" | "bad";

interface Limits {
  warn: number;
  bad: number;
}

export const CPU: Limits = { warn: 0.8, bad: 0.95 };
export const MEMORY: Limits = { warn: 0.85, bad: 0.95 };
export const DISK: Limits = { warn: 0.85, bad: 0.95 };
export const LOAD_PER_CORE: Limits = { warn: 1.5, bad: 3 };
export const LAG_SECONDS: Limits = { warn: 60, bad: 600 };

export function level(value: number | null, limits: Limits): Level {
  if (value === null) return "ok";
  if (value >= limits.bad) return "bad";
  return value >= limits.warn ? "warn" : "ok";
}

export function loadPerCore(node: NodeSummary): number | null {
  return node.load1 === null || !node.cores ? null : node.load1 / node.cores;
}

const STATE_RANK = { gone: 500, late: 400, live: 0 } as const;
const LEVEL_RANK = { ok: 0, warn: 20, bad: 40 } as const;

/**
 * A coarse rank: rows change places when something changed, not with every sample. CPU does not
 * raise a node above the others unless it is very busy: a full disk is worse than a busy core.
 */
export function rank(node: NodeSummary): number {
  const disk = LEVEL_RANK[level(node.disk_used_ratio, DISK)];
  const memory = LEVEL_RANK[level(node.memory_used_ratio, MEMORY)];
  const cpu = LEVEL_RANK[level(node.cpu_busy_ratio, CPU)] / 2;
  const load = LEVEL_RANK[level(loadPerCore(node), LOAD_PER_CORE)] / 2;
  const agent = (node.failed_collectors.length > 0 ? 15 : 0) + (node.missed_samples > 0 ? 5 : 0);
  return STATE_RANK[node.state] + disk * 2 + memory + cpu + load + agent;
}

const NAMES = new Intl.Collator("en", { numeric: true });

type Key = (node: NodeSummary) => number | null;

/** What a column sorts by; the largest first, the unknown last. */
const KEYS: Record<Exclude<Sort, "name">, Key> = {
  worst: rank,
  cpu: (node) => node.cpu_busy_ratio,
  memory: (node) => node.memory_used_ratio,
  disk: (node) => node.disk_used_ratio,
  network: traffic,
  load: (node) => node.load1,
  seen: (node) => node.last_seen,
};

function traffic(node: NodeSummary): number | null {
  const { network_receive_bytes_per_second: receive, network_transmit_bytes_per_second: transmit } = node;
  return receive === null && transmit === null ? null : (receive ?? 0) + (transmit ?? 0);
}

export function sorted(nodes: readonly NodeSummary[], sort: Sort): NodeSummary[] {
  const byName = (a: NodeSummary, b: NodeSummary) => NAMES.compare(a.node, b.node);
  if (sort === "name") return [...nodes].sort(byName);
  const key = KEYS[sort];
  const value = (node: NodeSummary) => key(node) ?? Number.NEGATIVE_INFINITY;
  return [...nodes].sort((a, b) => {
    const left = value(a);
    const right = value(b);
    return left === right ? byName(a, b) : right > left ? 1 : -1;
  });
}

/** Every word of the filter must occur: in the name, the system, the state or a failed collector. */
export function matches(node: NodeSummary, filter: string): boolean {
  const text = [node.node, node.os ?? "", node.state, node.disk_mountpoint ?? "", ...node.failed_collectors]
    .join(" ")
    .toLowerCase();
  return words(filter).every((word) => text.includes(word));
}

export function matchesTopic(topic: Topic, filter: string): boolean {
  const text = [topic.topic, ...topic.groups.map((group) => group.group)].join(" ").toLowerCase();
  return words(filter).every((word) => text.includes(word));
}

export function matchesWorker(worker: Worker, filter: string): boolean {
  const text = [worker.topic, worker.group, worker.paused ? "paused" : "", targetText(worker)].join(" ").toLowerCase();
  return words(filter).every((word) => text.includes(word));
}

export function matchesBackend(backend: Target, filter: string): boolean {
  const text = `backend ${targetText(backend)}`.toLowerCase();
  return words(filter).every((word) => text.includes(word));
}

function targetText(target: Target): string {
  return `${target.target} ${target.breaker.state.replace("_", " ")}`;
}

export function matchesGateway(gateway: Gateway, filter: string): boolean {
  const text = `${gateway.topic} partitioned queue`.toLowerCase();
  return words(filter).every((word) => text.includes(word));
}

function words(filter: string): string[] {
  return filter.toLowerCase().split(/\s+/).filter((word) => word !== "");
}

export function lagLevel(group: Group): Level {
  return group.lag_records === 0 ? "ok" : level(group.lag_seconds, LAG_SECONDS);
}

export function isDeadLetter(topic: string): boolean {
  return topic.endsWith(".dead-letter");
}

function topicRank(topic: Topic): number {
  const lag = Math.max(0, ...topic.groups.map((group) => LEVEL_RANK[lagLevel(group)]));
  return lag + (isDeadLetter(topic.topic) && topic.records > 0 ? 30 : 0);
}

/** Trouble first, then topics that somebody consumes, then by name. */
export function sortedTopics(topics: readonly Topic[]): Topic[] {
  const read = (topic: Topic) => (topic.groups.length > 0 ? 1 : 0);
  return [...topics].sort(
    (a, b) => topicRank(b) - topicRank(a) || read(b) - read(a) || NAMES.compare(a.topic, b.topic),
  );
}
