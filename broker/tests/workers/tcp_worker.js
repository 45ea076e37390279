#!/usr/bin/env node
// A worker for tcp:// targets: prints each payload it gets, and acknowledges it.
//
//     tcp_worker.js [--port N] [--port-file FILE] [--fail-every N] [--slow MS]

const fs = require("node:fs");
const net = require("node:net");
const readline = require("node:readline");
const { parseArgs } = require("node:util");

const text = (value) => ({ type: "string", default: value });
const { values: options } = parseArgs({
  options: { port: text("0"), "port-file": text(""), "fail-every": text("0"), slow: text("0") },
});
const failEvery = Number(options["fail-every"]);
let tasks = 0;

function work(task) {
  tasks += 1;
  if (failEvery && tasks % failEvery === 0) {
    return { nack: task.receipt, delay: "100ms", reason: "every so often" };
  }
  process.stdout.write(JSON.stringify(task.payload) + "\n");
  return { ack: task.receipt };
}

const server = net.createServer((socket) => {
  socket.on("error", () => socket.destroy());
  readline.createInterface({ input: socket }).on("line", (line) => {
    const task = JSON.parse(line);
    setTimeout(() => socket.write(JSON.stringify(work(task)) + "\n"), Number(options.slow));
  });
});

server.listen(Number(options.port), "127.0.0.1", () => {
  const file = options["port-file"];
  if (file) {
    fs.writeFileSync(file + ".new", String(server.address().port));
    fs.renameSync(file + ".new", file);
  }
});
