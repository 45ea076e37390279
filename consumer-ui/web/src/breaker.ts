/** A circuit breaker in words. Pure; the mark that goes with them is in pages/breaker-mark.ts. */

import { duration, plural } from "./format";
import type { Breaker, BreakerState, Delivery } from "./model";
import type { Level } from "./order";

interface Meaning {
  word: string;
  level: Level;
  /** For who does not know what a breaker is. */
  explained: string;
}

export const MEANINGS: Record<BreakerState, Meaning> = {
  CLOSED: { word: "closed", level: "ok", explained: "Closed: messages are delivered" },
  HALF_OPEN: { word: "half open", level: "warn", explained: "Half open: one message at a time tries whether the target is back" },
  OPEN: { word: "open", level: "bad", explained: "Open: the target failed too often, nothing is delivered until the next trial" },
};

/** What there is to add to the word; "" where all is well. */
export function breakerDetail(breaker: Breaker, now: number): string {
  if (breaker.state === "OPEN" && breaker.next_trial_at !== null) return trial(breaker.next_trial_at - now);
  if (breaker.consecutive_failures > 0) return `${plural(breaker.consecutive_failures, "failure")} in a row`;
  return breaker.opened > 0 ? `opened ${plural(breaker.opened, "time")}` : "";
}

function trial(milliseconds: number): string {
  return milliseconds < 1_000 ? "next trial now" : `next trial in ${duration(Math.floor(milliseconds / 1_000))}`;
}

/** Breakers that let nothing through, among workers and backends. */
export function openCount(delivery: Delivery): number {
  return delivery.workers.open + delivery.backends.open;
}

const PARTS = { workers: "Workers", backends: "Backends", gateway: "The partitioned queue" };

/** One sentence for each reason why something is not on the page. */
export function missingParts(missing: Delivery["missing"]): string[] {
  const byReason = new Map<string, string[]>();
  for (const { part, reason } of missing) byReason.set(reason, [...(byReason.get(reason) ?? []), PARTS[part]]);
  return [...byReason].map(([reason, parts]) => {
    const [first = "", ...rest] = parts;
    const names = [first, ...rest.map((part) => part.replace(/^[A-Z]/, (letter) => letter.toLowerCase()))].join(" and ");
    const are = parts.length === 1 && first === PARTS.gateway ? "is" : "are";
    return `${names} ${are} not shown: ${reason}.`;
  });
}
