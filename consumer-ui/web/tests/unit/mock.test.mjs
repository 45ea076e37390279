import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { delivery } from "../../mock/delivery.mjs";
import { topics } from "../../mock/world.mjs";

/** Every path to a value; of a list's items all together. */
function paths(value, at = "") {
  if (Array.isArray(value)) return value.flatMap((item) => paths(item, `${at}[]`));
  if (value === null || typeof value !== "object") return [at];
  return Object.entries(value).flatMap(([name, part]) => paths(part, `${at}.${name}`));
}

/** The file is what weir-ui's own tests hold it to. */
test("the mock's topics have the fields that the server sends, and no others", () => {
  const golden = readFileSync(new URL("../../../tests/golden/topics.json", import.meta.url), "utf8");
  const sorted = (page) => [...new Set(paths(page))].sort();
  const now = Date.now();
  expect(sorted(topics(now, delivery(now)))).toEqual(sorted(JSON.parse(golden)));
});
