/** The server's answers: one fetch, one stream of events that heals itself. */

import type { Fleet, NodeDetail, Points, Topics } from "./model";
import { gotFleet, gotNode, gotPoints, gotTopics, leftNode, linked, nodeIsMissing, type Store } from "./store";

/** The server sends the fleet each second; silence this long means the connection is dead. */
const SILENCE_MS = 10_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 10_000;
/** A server that keeps saying "fetch anew" is asked no more often than this. */
const LEAST_REFETCH_MS = 2_000;
/** What only the whole answer carries (filesystem sizes, host facts) is at most this old. */
const REFETCH_MS = 60_000;

export class NotFound extends Error {}

export async function fetchNode(node: string, signal: AbortSignal): Promise<NodeDetail> {
  const answer = await fetch(`/api/nodes/${encodeURIComponent(node)}`, { signal, cache: "no-store" });
  if (answer.status === 404) throw new NotFound(node);
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return (await answer.json()) as NodeDetail;
}

async function fetchTopics(): Promise<Topics> {
  const answer = await fetch("/api/topics", { cache: "no-store" });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return (await answer.json()) as Topics;
}

/** Exponential with jitter, so that many open pages do not return at the same moment. */
export function retryDelay(attempt: number, random: number): number {
  const full = Math.min(FIRST_RETRY_MS * 2 ** attempt, LAST_RETRY_MS);
  return full * (0.5 + random / 2);
}

/**
 * Keeps the store current. The whole node is fetched after each `open`, so that nothing that
 * happened in between is missed; points that arrive during the fetch wait for it.
 */
export class Live {
  readonly #store: Store;
  #node: string | null = null;
  #source: EventSource | null = null;
  #attempt = 0;
  #retryTimer = 0;
  #refetchTimer = 0;
  #heardAt = 0;
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #fetching: AbortController | null = null;
  #waiting: Points[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  start(): void {
    this.#open();
    window.setInterval(() => this.#checkSilence(), 2_000);
    window.addEventListener("online", () => this.#reopen());
    window.addEventListener("pagehide", () => this.#close());
    window.addEventListener("pageshow", (event) => event.persisted && this.#reopen());
  }

  /** Follows one node besides the fleet, or none. */
  watch(node: string | null): void {
    if (node === this.#node) return;
    this.#node = node;
    this.#store.change(leftNode);
    if (this.#source !== null) this.#reopen();
  }

  #open(): void {
    const query = this.#node === null ? "" : `?node=${encodeURIComponent(this.#node)}`;
    const source = new EventSource(`/api/events${query}`);
    this.#source = source;
    this.#heardAt = performance.now();
    source.addEventListener("open", () => this.#opened());
    source.addEventListener("error", () => this.#failed(source));
    this.#on<Fleet>(source, "fleet", (fleet) => this.#gotFleet(fleet));
    this.#on<Topics>(source, "topics", (topics) => this.#store.change((state) => gotTopics(state, topics)));
    this.#on<Points>(source, "points", (points) => this.#gotPoints(points));
  }

  #on<T>(source: EventSource, name: string, take: (data: T) => void): void {
    source.addEventListener(name, (event) => {
      if (source !== this.#source) return;
      this.#heardAt = performance.now();
      take(JSON.parse(event.data as string) as T);
    });
  }

  #close(): void {
    window.clearTimeout(this.#retryTimer);
    window.clearTimeout(this.#refetchTimer);
    this.#fetching?.abort();
    this.#fetching = null;
    this.#waiting = [];
    this.#source?.close();
    this.#source = null;
  }

  #reopen(): void {
    this.#close();
    this.#open();
  }

  #opened(): void {
    this.#attempt = 0;
    this.#heardAt = performance.now();
    this.#store.change((state) => linked(state, "open"));
    // An answer that was asked for before the break may end before it.
    this.#fetching?.abort();
    this.#fetching = null;
    this.#refetch();
    if (this.#store.state.topics === null) void this.#loadTopics();
  }

  /** The first topics event may be two seconds away. */
  async #loadTopics(): Promise<void> {
    const topics = await fetchTopics().catch(() => null);
    if (topics !== null && this.#store.state.topics === null) this.#store.change((state) => gotTopics(state, topics));
  }

  /** EventSource tries again by itself after a broken connection, but not after a refusal. */
  #failed(source: EventSource): void {
    if (source !== this.#source) return;
    this.#store.change((state) => linked(state, "lost"));
    if (source.readyState === EventSource.CLOSED) this.#retryLater();
  }

  #retryLater(): void {
    this.#close();
    this.#retryTimer = window.setTimeout(() => this.#open(), retryDelay(this.#attempt, Math.random()));
    this.#attempt += 1;
  }

  #checkSilence(): void {
    if (this.#source?.readyState !== EventSource.OPEN) return;
    if (performance.now() - this.#heardAt < SILENCE_MS) return;
    this.#store.change((state) => linked(state, "lost"));
    this.#retryLater();
  }

  #gotFleet(fleet: Fleet): void {
    this.#store.change((state) => gotFleet(state, fleet, Date.now()));
    const missing = this.#store.state.missingNode;
    if (missing !== null && fleet.nodes.some((node) => node.node === missing)) this.#refetch();
  }

  #gotPoints(points: Points): void {
    if (this.#fetching !== null) {
      this.#waiting.push(points);
      return;
    }
    const next = gotPoints(this.#store.state, points);
    if (next === null) this.#refetchSoon();
    else this.#store.change(() => next);
  }

  #refetchSoon(): void {
    const rest = this.#fetchedAt + LEAST_REFETCH_MS - performance.now();
    window.clearTimeout(this.#refetchTimer);
    this.#refetchTimer = window.setTimeout(() => this.#refetch(), Math.max(rest, 0));
  }

  #refetch(): void {
    const node = this.#node;
    window.clearTimeout(this.#refetchTimer);
    if (node === null || this.#fetching !== null) return;
    const fetching = new AbortController();
    this.#fetching = fetching;
    this.#fetchedAt = performance.now();
    this.#load(node, fetching.signal)
      .catch(() => undefined)
      .finally(() => {
        if (this.#fetching !== fetching) return;
        this.#fetching = null;
        this.#deliverWaiting();
        this.#refetchTimer = window.setTimeout(() => this.#refetch(), this.#refetchDelay());
      });
  }

  async #load(node: string, signal: AbortSignal): Promise<void> {
    try {
      const detail = await fetchNode(node, signal);
      if (!signal.aborted) this.#store.change((state) => gotNode(state, detail));
    } catch (error) {
      if (error instanceof NotFound && !signal.aborted) this.#store.change((state) => nodeIsMissing(state, node));
      else throw error;
    }
  }

  #refetchDelay(): number {
    const { node, missingNode } = this.#store.state;
    return node === null && missingNode === null ? FIRST_RETRY_MS * 2 : REFETCH_MS;
  }

  #deliverWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const points of waiting) {
      const next = gotPoints(this.#store.state, points);
      if (next !== null) this.#store.change(() => next);
    }
  }
}
