// The built page in real Chromium.
//
//   node tests/browser.mjs [base URL] [folder for screenshots]
//
// Without a URL it starts the mock and runs everything. Against a real server it leaves out what
// needs the mock (lost connections, empty fleets) and looks at the first live node.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { start } from "../mock/server.mjs";
import { launch } from "./chromium.mjs";

const given = process.argv[2] ?? "";
const folder = process.argv[3] ?? fileURLToPath(new URL("../screenshots", import.meta.url));
const HOSTILE = "<img src=x onerror=alert(1)>";
const WIDE = { width: 1440, height: 900 };
const NARROW = { width: 400, height: 860 };
const WAIT = 15_000;

const mock = given === "" ? await start() : null;
const base = mock?.url ?? given.replace(/\/$/, "");
const browser = await launch();
const node = await chosenNode();
const nodePath = `/nodes/${encodeURIComponent(node)}`;
let failures = 0;

mkdirSync(folder, { recursive: true });
await everyPageLooksRight();
await check("charts move", chartsMove);
await check("hover is shared between charts", hoverIsShared);
await check("dragging zooms, Escape returns", draggingZooms);
await check("values are read by keyboard", valuesAreRead);
await check("keys move, open, jump, help and pause", keysWork);
await check("filter, sort and window live in the URL", urlHoldsState);
await check("the theme can be chosen and is kept", themeIsKept);
await check("calm for those who ask for it", motionIsReduced);
await check("an unknown node and an unknown page say so", missingPagesSpeak);
if (await knows(HOSTILE)) await check("a hostile node name stays text", hostileNameStaysText);
if (await pushes()) await check("workers are shown as the server tells of them", workersAreShown);
if (mock !== null) {
  await check("gaps are gaps", gapsAreGaps);
  await check("a lost server shows a banner and recovers without reload", serverLossRecovers);
  await check("a lost broker shows a banner", brokerLossShows);
  await check("open breakers come first and are counted on every page", openBreakersShow);
  await check("a breaker's state is told without colour", breakersNeedNoColour);
  await check("a hostile target stays text", hostileTargetStaysText);
  await check("workers are filtered and reached by keyboard", workersByKeyboard);
  await check("tables without rows are not there", emptyTablesAreNotThere);
  await check("an empty fleet tells what to do", emptyFleetHelps);
}
await browser.close();
await mock?.stop();
console.log(failures === 0 ? `all well; screenshots in ${folder}` : `${failures} failed`);
process.exit(failures === 0 ? 0 : 1);

async function chosenNode() {
  const fleet = await (await fetch(`${base}/api/fleet`)).json();
  assert(fleet.nodes.length > 0, "the server knows no node yet");
  const live = fleet.nodes.filter((one) => one.state === "live" && one.node !== HOSTILE);
  return live.find((one) => one.node.startsWith("db-primary"))?.node ?? live[0].node;
}

async function knows(node) {
  const fleet = await (await fetch(`${base}/api/fleet`)).json();
  return fleet.nodes.some((one) => one.node === node);
}

async function workersNow() {
  return (await (await fetch(`${base}/api/topics`)).json()).delivery.workers;
}

async function pushes() {
  return (await workersNow()).total > 0;
}

async function check(name, run) {
  const began = Date.now();
  try {
    await run();
    console.log(`ok    ${name} (${Date.now() - began} ms)`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL  ${name}: ${error.stack ?? error}`);
  }
}

/** A page of its own profile whose console must stay silent and whose requests must stay at home. */
async function withPage(path, options, use) {
  const { quiet = true, ...context } = options;
  const profile = await browser.newContext({ viewport: WIDE, ...context });
  const page = await profile.newPage();
  const noise = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && noise.push(message.text()));
  page.on("pageerror", (error) => noise.push(String(error)));
  page.on("dialog", (dialog) => noise.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
  page.on("request", (request) => !request.url().startsWith(base) && noise.push(`request to ${request.url()}`));
  page.setDefaultTimeout(WAIT);
  try {
    const answer = await page.goto(base + path);
    assert.match(answer.headers()["content-security-policy"] ?? "", /default-src 'self'/);
    await use(page);
    if (quiet) assert.deepEqual(noise, []);
  } finally {
    await profile.close();
  }
}

async function everyPageLooksRight() {
  const pages = [["fleet", "/", ".fleet tbody tr"], ["node", nodePath, ".plot canvas"], ["topics", "/topics", ".flow-row"]];
  for (const [name, path, ready] of pages) {
    for (const colorScheme of ["light", "dark"]) {
      for (const viewport of [WIDE, NARROW]) {
        const shot = `${name}-${colorScheme}-${viewport.width}`;
        await check(shot, () => withPage(path, { viewport, colorScheme }, (page) => look(page, ready, shot)));
      }
    }
  }
}

async function look(page, ready, shot) {
  await page.waitForSelector(ready);
  const canvases = await page.locator(".plot").all();
  for (const plot of canvases) await plot.scrollIntoViewIfNeeded();
  await page.evaluate(() => window.scrollTo(0, 0));
  await page.waitForTimeout(2_500);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(wide, 0, "nothing sticks out sideways");
  await page.screenshot({ path: join(folder, `${shot}.png`), fullPage: true });
}

async function lastOf(page, id) {
  return Number(await page.locator(`[data-chart="${id}"]`).getAttribute("data-last"));
}

async function grows(page, id) {
  const before = await lastOf(page, id);
  await page.waitForFunction(([chart, last]) => Number(document.querySelector(`[data-chart="${chart}"]`)?.dataset.last) > last, [id, before]);
}

function firstChart(page) {
  return page.locator(".plot").first().getAttribute("data-chart");
}

async function chartsMove() {
  await withPage(nodePath, {}, async (page) => {
    await page.waitForSelector(".plot canvas");
    const id = await firstChart(page);
    await grows(page, id);
    await grows(page, id);
  });
}

async function hoverIsShared() {
  await withPage(nodePath, {}, async (page) => {
    await page.waitForSelector(".plot canvas");
    const box = await page.locator(".plot").first().boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.waitForFunction(() => [...document.querySelectorAll(".panel .at")].slice(0, 3).every((at) => /^\d\d:\d\d:\d\d$/.test(at.textContent)));
  });
}

async function draggingZooms() {
  await withPage(nodePath, {}, async (page) => {
    await page.waitForSelector(".plot canvas");
    const box = await page.locator(".plot").first().boundingBox();
    await page.mouse.move(box.x + box.width * 0.5, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.7, box.y + 60, { steps: 4 });
    await page.mouse.up();
    await page.waitForURL(/from=\d+&to=\d+/);
    await page.reload();
    await page.waitForSelector(".chip-button:visible");
    await page.keyboard.press("Escape");
    await page.waitForURL((url) => url.search === "");
  });
}

async function valuesAreRead() {
  await withPage(nodePath, {}, async (page) => {
    await page.waitForSelector(".plot canvas");
    await page.keyboard.press("j");
    await page.keyboard.press("End");
    const voice = page.locator("#voice");
    await page.waitForFunction(() => /\d\d:\d\d:\d\d: .+ %/.test(document.querySelector("#voice").textContent));
    const newest = await voice.textContent();
    await page.keyboard.press("PageUp");
    await page.waitForFunction((before) => document.querySelector("#voice").textContent !== before, newest);
    const table = page.locator(".panel .values").first();
    assert.equal(await table.locator("tbody tr").count(), 12);
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(outline, "solid", "the focus is visible");
  });
}

async function keysWork() {
  await withPage("/", {}, async (page) => {
    await page.waitForSelector(".fleet tbody tr");
    const first = await page.locator(".node-link").first().textContent();
    await page.keyboard.press("j");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), first);
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/nodes\//);
    await page.keyboard.press("g");
    await page.keyboard.press("t");
    await page.waitForURL(/\/topics$/);
    await page.keyboard.press("g");
    await page.keyboard.press("f");
    await page.waitForURL((url) => url.pathname === "/");
    await page.keyboard.press("?");
    await page.waitForSelector("dialog[open]");
    await page.keyboard.press("Escape");
    await page.waitForSelector("dialog[open]", { state: "detached" });
    await page.keyboard.press("/");
    await page.keyboard.type("zzz");
    await page.waitForURL(/filter=zzz/);
    await page.waitForSelector(".empty");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await page.waitForURL((url) => url.search === "");
  });
  await pauseStops();
}

async function pauseStops() {
  await withPage(nodePath, {}, async (page) => {
    await page.waitForSelector(".plot canvas");
    const id = await firstChart(page);
    await grows(page, id);
    await page.keyboard.press(" ");
    await page.waitForSelector('.status[data-kind="paused"]');
    const before = await lastOf(page, id);
    await page.waitForTimeout(2_500);
    assert.equal(await lastOf(page, id), before, "a paused chart stands still");
    await page.keyboard.press(" ");
    await grows(page, id);
  });
}

async function urlHoldsState() {
  await withPage(`${nodePath}?window=5m`, {}, async (page) => {
    await page.waitForSelector('.segmented button[aria-pressed="true"]:text("5m")');
  });
  await withPage("/?filter=nothing-is-called-so", {}, async (page) => {
    await page.waitForSelector(".empty");
    assert.equal(await page.locator(".search").inputValue(), "nothing-is-called-so");
  });
  await withPage("/?sort=name", {}, async (page) => {
    await page.waitForSelector('th.node[aria-sort="ascending"]');
    await page.click("th.node button");
    await page.waitForURL((url) => url.search === "");
    await page.locator(".node-link").first().click();
    await page.waitForURL(/\/nodes\//);
    await page.goBack();
    await page.waitForSelector(".fleet tbody tr");
  });
}

async function themeIsKept() {
  await withPage("/", { colorScheme: "light" }, async (page) => {
    await page.waitForSelector(".fleet tbody tr");
    await page.keyboard.press("t");
    await page.keyboard.press("t");
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(13, 16, 20)");
    await page.reload();
    await page.waitForSelector(':root[data-theme="dark"] .fleet tbody tr');
  });
}

async function motionIsReduced() {
  await withPage("/topics", { reducedMotion: "reduce" }, async (page) => {
    await page.waitForSelector(".flow-row");
    assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
  });
}

async function missingPagesSpeak() {
  await withPage("/nodes/nobody-is-called-so", { quiet: false }, async (page) => {
    await page.waitForSelector(".empty:has-text('Nothing is known')");
  });
  await withPage("/nothing/here", { quiet: false }, async (page) => {
    await page.waitForSelector(".empty:has-text('no such page')");
  });
}

async function hostileNameStaysText() {
  await withPage("/", {}, async (page) => {
    await page.waitForSelector(".fleet tbody tr");
    const link = page.locator(".node-link", { hasText: HOSTILE });
    assert.equal(await link.textContent(), HOSTILE);
    await link.click();
    await page.waitForSelector(".plot canvas");
    assert.equal(await page.locator("h1").textContent(), HOSTILE);
    assert.equal(await page.title(), `${HOSTILE} · Weir`);
    assert.equal(await page.locator("img").count(), 0);
    await page.reload();
    await page.waitForSelector(".plot canvas");
  });
}

/** build-7 was silent from 44 to 40 minutes ago: at that place no line is drawn. */
async function gapsAreGaps() {
  await withPage("/nodes/build-7", {}, async (page) => {
    await page.waitForSelector('[data-chart="cpu"] canvas');
    await page.waitForTimeout(500);
    const drawn = await page.evaluate(() => {
      const canvas = document.querySelector('[data-chart="cpu"] canvas');
      const over = document.querySelector('[data-chart="cpu"] .u-over');
      const scale = canvas.width / canvas.clientWidth;
      const row = canvas.getContext("2d").getImageData(0, (over.offsetTop + over.clientHeight - 8) * scale, canvas.width, 1).data;
      const opacity = (minutesAgo) => row[4 * Math.round((over.offsetLeft + over.clientWidth * (1 - minutesAgo / 60)) * scale) + 3];
      return { gap: opacity(42), beside: opacity(35) };
    });
    assert.equal(drawn.gap, 0, "nothing is drawn in the gap");
    assert.notEqual(drawn.beside, 0, "beside it there is something");
  });
}

function tell(path) {
  return fetch(base + path, { method: "POST" });
}

async function serverLossRecovers() {
  await withPage(nodePath, { quiet: false }, async (page) => {
    await page.waitForSelector(".plot canvas");
    await page.evaluate(() => (window.sameDocument = true));
    await tell("/mock/drop?seconds=4");
    await page.waitForSelector(".banner[data-shown]:has-text('server lost')");
    await page.waitForTimeout(900);
    await page.screenshot({ path: join(folder, "banner-lost.png") });
    await page.waitForSelector(".banner:not([data-shown])", { state: "attached" });
    await grows(page, "cpu");
    assert.equal(await page.evaluate(() => window.sameDocument), true, "no reload");
  });
}

async function brokerLossShows() {
  await withPage("/", {}, async (page) => {
    await page.waitForSelector(".fleet tbody tr");
    await tell("/mock/broker?connected=false");
    await page.waitForSelector(".banner[data-shown]:has-text('connection refused')");
    await tell("/mock/broker?connected=true");
    await page.waitForSelector(".banner:not([data-shown])", { state: "attached" });
  });
}

async function workersAreShown() {
  await withPage("/topics", {}, async (page) => {
    await page.waitForSelector('section[aria-label="Workers"] tbody tr');
    const { rows } = await workersNow();
    const targets = await page.locator('section[aria-label="Workers"] .address').allTextContents();
    assert.deepEqual(targets.sort(), rows.map((row) => row.target).sort());
  });
}

function workerRow(page, text) {
  return page.locator('section[aria-label="Workers"] tbody tr', { hasText: text });
}

async function openBreakersShow() {
  await withPage("/", {}, async (page) => {
    await page.waitForSelector('.nav .badge:visible:has-text("3")');
    assert.match(await page.locator(".nav .badge").innerText(), /3/);
    assert.equal(await page.locator(".nav .badge").getAttribute("title"), "3 circuit breakers open");
    await page.click(".nav a:has-text('Topics')");
    await page.waitForFunction(() => document.title === "(3 open) Topics · Weir");
    const states = await page.locator('section[aria-label="Workers"] .breaker-word').allTextContents();
    assert.deepEqual(states, ["open", "open", "half open", "closed", "closed", "closed"]);
    assert.equal(await page.locator('section[aria-label="Workers"] header .chip').textContent(), "2 open");
    assert.match(await workerRow(page, "billing").first().innerText(), /next trial (now|in \d+ s)/);
    assert.equal(await page.locator('section[aria-label="Partitioned queue"] tbody tr > *').count(), 8);
  });
}

/** Each state has a word and a shape of its own. */
async function breakersNeedNoColour() {
  await withPage("/topics", {}, async (page) => {
    await page.waitForSelector('section[aria-label="Workers"] .breaker');
    const marks = await page.locator(".breaker").evaluateAll((all) => all.map((one) => [one.dataset.state, one.querySelector(".breaker-word").textContent, one.querySelector("path").getAttribute("d")].join("|")));
    for (const part of [0, 1, 2]) assert.equal(new Set(marks.map((mark) => mark.split("|")[part])).size, 3);
    assert.equal(new Set(marks).size, 3);
  });
}

async function hostileTargetStaysText() {
  await withPage("/topics", {}, async (page) => {
    await page.waitForSelector('section[aria-label="Workers"] tbody tr');
    const row = workerRow(page, `tcp://${HOSTILE}:9000`);
    assert.equal(await row.locator(".address").textContent(), `tcp://${HOSTILE}:9000`);
    assert.equal(await row.locator(".error-text").textContent(), `connection refused by ${HOSTILE}`);
    assert.equal(await page.locator("img").count(), 0);
  });
}

async function workersByKeyboard() {
  await withPage("/topics", {}, async (page) => {
    await page.waitForSelector('section[aria-label="Workers"] tbody tr');
    await page.keyboard.press("/");
    await page.keyboard.type("billing open");
    await page.waitForFunction(() => document.querySelectorAll(".targets tbody tr").length === 2);
    await page.keyboard.press("Enter");
    await page.keyboard.press("j");
    assert.match(await page.evaluate(() => document.activeElement.textContent), /orders.*billing/);
    const hidden = () => page.evaluate(() => {
      const error = document.activeElement.querySelector(".error-text");
      return error.scrollHeight - error.clientHeight;
    });
    assert.equal(await hidden(), 0, "the whole error is readable at the selected row");
    assert.equal(await page.locator(".empty").count(), 0);
  });
}

async function emptyTablesAreNotThere() {
  await withPage("/topics", {}, async (page) => {
    await page.waitForSelector('section[aria-label="Workers"] tbody tr');
    await tell("/mock/delivery?kind=none");
    await page.waitForSelector(".delivery", { state: "hidden" });
    assert.equal(await page.locator(".delivery:visible, .missing:visible, .badge:visible").count(), 0);
    await tell("/mock/delivery?kind=old");
    await page.waitForSelector(".missing:visible");
    assert.equal(await page.locator(".missing").textContent(), "Workers and backends are not shown: this version of the broker does not list them.");
    await page.screenshot({ path: join(folder, "topics-old-broker.png"), fullPage: true });
    await tell("/mock/delivery?kind=everything");
    await page.waitForSelector('section[aria-label="Workers"] tbody tr');
  });
}

async function emptyFleetHelps() {
  await tell("/mock/nodes?count=0");
  await tell("/mock/topics?count=0");
  await tell("/mock/delivery?kind=none");
  await withPage("/", {}, async (page) => {
    await page.waitForSelector(".empty:has-text('weir-agent --broker http://127.0.0.1:5000')");
    await page.screenshot({ path: join(folder, "fleet-empty.png") });
    await tell("/mock/nodes");
    await page.waitForSelector(".fleet tbody tr");
  });
  await withPage("/topics", {}, async (page) => {
    await page.waitForSelector(".empty:has-text('No topic yet')");
    await tell("/mock/topics");
    await page.waitForSelector(".flow-row");
  });
}
