// Everything the browser loads, gzipped, must stay below the promised bound.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const LIMIT_BYTES = 80 * 1024;
const DIST = fileURLToPath(new URL("../dist", import.meta.url));

const files = readdirSync(DIST, { recursive: true }).filter((name) => statSync(join(DIST, name)).isFile());
const total = files.reduce((sum, name) => sum + gzipSync(readFileSync(join(DIST, name)), { level: 9 }).length, 0);
console.log(`all assets gzipped: ${(total / 1024).toFixed(1)} KiB of ${LIMIT_BYTES / 1024} KiB`);
if (total > LIMIT_BYTES) {
  console.error("the page is too big");
  process.exit(1);
}
