import { expect, test } from "vitest";
import { address, FLEET, nodeRoute, parse, type Route, samePage, windowLength } from "../../src/router";

function at(url: string): Route {
  const { pathname, search } = new URL(url, "http://weir");
  return parse(pathname, search);
}

test.each([
  "/",
  "/?filter=db+eu&sort=cpu",
  "/topics",
  "/topics?filter=orders",
  "/nodes/api-1",
  "/nodes/api-1?window=5m",
  "/nodes/api-1?from=1000&to=2000",
])("%s survives parsing and writing", (url) => expect(address(at(url))).toBe(url));

test.each(["<img src=x onerror=alert(1)>", "a/b", "50%", "größe", "?x=1#y", " "])("a node may be called %s", (node) => {
  expect(at(address(nodeRoute(node)))).toEqual(nodeRoute(node));
});

test("nonsense in the query falls back to the default", () => {
  expect(at("/?sort=constructor")).toEqual(FLEET);
  expect(at("/nodes/a?window=toString&from=9&to=3")).toEqual(nodeRoute("a"));
  expect(at("/nodes/a?from=1")).toEqual(nodeRoute("a"));
});

test("unknown paths and broken escapes are missing pages", () => {
  expect(at("/nope").page).toBe("missing");
  expect(parse("/nodes/%zz", "").page).toBe("missing");
  expect(at("/nodes/a/b").page).toBe("missing");
});

test("another filter is the same page, another node is not", () => {
  expect(samePage(at("/?filter=a"), at("/"))).toBe(true);
  expect(samePage(at("/nodes/a"), at("/nodes/b"))).toBe(false);
  expect(samePage(at("/nodes/a"), at("/nodes/a?window=5m"))).toBe(true);
});

test.each([
  ["1h", 10_000, 5 * 60_000],
  ["1h", 6 * 60_000, 15 * 60_000],
  ["1h", 59 * 60_000, 60 * 60_000],
  ["1h", 90 * 60_000, 60 * 60_000],
  ["5m", 30 * 60_000, 5 * 60_000],
  ["1h", Number.NEGATIVE_INFINITY, 5 * 60_000],
] as const)("%s of a host known for %d ms shows %d ms", (asked, known, shown) => {
  expect(windowLength(asked, known)).toBe(shown);
});
