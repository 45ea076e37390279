// Stands in for weir-ui's server while the page is developed and tested: its API with made-up
// figures, and the built page under the same headers. Not part of the product.
//
//   node mock/server.mjs [port]        POST /mock/drop?seconds=3  /mock/broker?connected=false
//                                      /mock/nodes?count=0        /mock/topics?count=0
//                                      /mock/delivery?kind=none   (everything, none, old)

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { delivery } from "./delivery.mjs";
import { detail, fleet, NODES, points, topics } from "./world.mjs";

const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const SECURITY = { "content-security-policy": "default-src 'self'", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" };

export function start(port = 0) {
  const world = { connected: true, nodes: NODES, topics: Number.POSITIVE_INFINITY, delivery: "everything", refuseUntil: 0, streams: new Set() };
  const server = createServer((request, response) => answer(world, request, response).catch(() => response.destroy()));
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => resolve({ server, url: `http://127.0.0.1:${server.address().port}`, stop: () => stop(world, server) }));
  });
}

function stop(world, server) {
  for (const stream of world.streams) stream.destroy();
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
}

async function answer(world, request, response) {
  const url = new URL(request.url, "http://mock");
  if (url.pathname.startsWith("/mock/")) return control(world, url, response);
  if (Date.now() < world.refuseUntil) return request.socket.destroy();
  if (url.pathname === "/api/events") return events(world, url, response);
  if (url.pathname === "/api/fleet") return json(response, 200, fleetNow(world));
  if (url.pathname === "/api/topics") return json(response, 200, topicsNow(world));
  if (url.pathname.startsWith("/api/nodes/")) return nodeDetail(world, url, response);
  if (url.pathname.startsWith("/api/")) return json(response, 404, { error: { code: "not_found", message: "no such resource" } });
  return file(url.pathname.startsWith("/assets/") ? url.pathname : "/index.html", response);
}

function control(world, url, response) {
  const value = (name) => url.searchParams.get(name);
  if (url.pathname === "/mock/drop") {
    world.refuseUntil = Date.now() + Number(value("seconds") ?? 0) * 1000;
    for (const stream of world.streams) stream.destroy();
  }
  if (url.pathname === "/mock/broker") world.connected = value("connected") !== "false";
  if (url.pathname === "/mock/nodes") world.nodes = NODES.slice(0, Number(value("count") ?? NODES.length));
  if (url.pathname === "/mock/topics") world.topics = Number(value("count") ?? Number.POSITIVE_INFINITY);
  if (url.pathname === "/mock/delivery") world.delivery = value("kind") ?? "everything";
  json(response, 200, {});
}

function json(response, status, body) {
  response.writeHead(status, { "content-type": "application/json", ...SECURITY });
  response.end(JSON.stringify(body));
}

async function file(path, response) {
  const inside = normalize(path);
  const body = await readFile(join(DIST, inside)).catch(() => null);
  if (body === null) return json(response, 404, { error: { code: "not_found", message: "no such file: is the page built?" } });
  response.writeHead(200, { "content-type": TYPES[extname(inside)] ?? "application/octet-stream", ...SECURITY });
  response.end(body);
}

function fleetNow(world) {
  const broker = { connected: world.connected, url: "http://127.0.0.1:5000", error: world.connected ? null : "connection refused" };
  return fleet(Date.now(), broker, world.nodes);
}

function topicsNow(world) {
  const now = topics(Date.now(), delivery(Date.now(), world.delivery));
  return { ...now, topics: now.topics.slice(0, world.topics) };
}

function nodeDetail(world, url, response) {
  const name = decodeURIComponent(url.pathname.slice("/api/nodes/".length));
  const node = world.nodes.find((one) => one.name === name);
  if (node === undefined) return json(response, 404, { error: { code: "not_found", message: "no such node" } });
  return json(response, 200, detail(node, Date.now()));
}

function events(world, url, response) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store", ...SECURITY });
  const send = (event, data) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  const node = world.nodes.find((one) => one.name === url.searchParams.get("node"));
  let since = Date.now();
  let ticks = 0;
  const tick = () => {
    send("fleet", fleetNow(world));
    if (ticks % 2 === 0) send("topics", topicsNow(world));
    ticks += 1;
    if (node === undefined) return;
    const now = Date.now();
    const news = points(node, since, now);
    since = now;
    if (news.charts.length > 0) send("points", news);
  };
  tick();
  const timer = setInterval(tick, 1000);
  world.streams.add(response.socket);
  response.on("close", () => {
    clearInterval(timer);
    world.streams.delete(response.socket);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await start(Number(process.argv[2] ?? 8090));
  console.log(`mock of weir-ui on ${url}`);
}
