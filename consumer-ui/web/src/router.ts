/** The address bar is the page's state: what is shown can be reloaded, shared and walked back. */

export const WINDOWS = { "5m": 5 * 60_000, "15m": 15 * 60_000, "1h": 60 * 60_000 } as const;
export type WindowName = keyof typeof WINDOWS;

/** How much to show: a host that is known for a minute does not get an hour of empty paper. */
export function windowLength(asked: WindowName, known: number): number {
  const enough = Object.values(WINDOWS).find((length) => length >= known) ?? WINDOWS[asked];
  return Math.min(enough, WINDOWS[asked]);
}

export const SORTS = ["worst", "name", "cpu", "memory", "disk", "network", "load", "seen"] as const;
export type Sort = (typeof SORTS)[number];

/** A stretch of time picked by dragging, milliseconds since the Unix epoch. */
export interface Range {
  from: number;
  to: number;
}

export type Route =
  | { page: "fleet"; filter: string; sort: Sort }
  | { page: "node"; node: string; window: WindowName; range: Range | null }
  | { page: "topics"; filter: string }
  | { page: "missing"; path: string };

export function parse(path: string, search: string): Route {
  const query = new URLSearchParams(search);
  if (path === "/") return { page: "fleet", filter: query.get("filter") ?? "", sort: sortOf(query) };
  if (path === "/topics") return { page: "topics", filter: query.get("filter") ?? "" };
  const node = nodeOf(path);
  if (node === null) return { page: "missing", path };
  return { page: "node", node, window: windowOf(query), range: rangeOf(query) };
}

/** The address of a route; what equals the default is left out. */
export function address(route: Route): string {
  switch (route.page) {
    case "fleet":
      return withQuery("/", { filter: route.filter, sort: route.sort === "worst" ? "" : route.sort });
    case "topics":
      return withQuery("/topics", { filter: route.filter });
    case "node":
      return withQuery(`/nodes/${encodeURIComponent(route.node)}`, {
        window: route.window === "1h" ? "" : route.window,
        from: route.range === null ? "" : String(route.range.from),
        to: route.range === null ? "" : String(route.range.to),
      });
    case "missing":
      return route.path;
  }
}

export function nodeRoute(node: string): Route {
  return { page: "node", node, window: "1h", range: null };
}

export const FLEET: Route = { page: "fleet", filter: "", sort: "worst" };
export const TOPICS: Route = { page: "topics", filter: "" };

/** Whether two routes show the same page, so that only its parameters changed. */
export function samePage(a: Route, b: Route): boolean {
  if (a.page === "node" && b.page === "node") return a.node === b.node;
  return a.page === b.page;
}

function nodeOf(path: string): string | null {
  const found = /^\/nodes\/([^/]+)\/?$/.exec(path);
  if (found?.[1] === undefined) return null;
  try {
    return decodeURIComponent(found[1]);
  } catch {
    return null;
  }
}

function sortOf(query: URLSearchParams): Sort {
  const asked = query.get("sort");
  return SORTS.find((sort) => sort === asked) ?? "worst";
}

function windowOf(query: URLSearchParams): WindowName {
  const asked = query.get("window");
  return asked !== null && Object.hasOwn(WINDOWS, asked) ? (asked as WindowName) : "1h";
}

function rangeOf(query: URLSearchParams): Range | null {
  const from = Number(query.get("from") ?? Number.NaN);
  const to = Number(query.get("to") ?? Number.NaN);
  return Number.isFinite(from) && Number.isFinite(to) && from < to ? { from, to } : null;
}

function withQuery(path: string, values: Record<string, string>): string {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== ""));
  const text = query.toString();
  return text === "" ? path : `${path}?${text}`;
}
