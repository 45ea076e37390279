#!/usr/bin/env python3
"""A worker for tcp:// targets: prints each payload it gets, and acknowledges it.

    tcp_worker.py [--port N] [--port-file FILE] [--fail-every N] [--slow MS]
"""

import argparse
import json
import os
import socketserver
import threading
import time

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=0, help="where to listen; any free port")
parser.add_argument("--port-file", help="file that the port is written to")
parser.add_argument("--fail-every", type=int, default=0, help="give back every Nth task")
parser.add_argument("--slow", type=int, default=0, metavar="MS", help="time for each task")
options = parser.parse_args()

lock = threading.Lock()
tasks = 0


class Worker(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            answer = self.work(json.loads(line))
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    def work(self, task):
        global tasks
        time.sleep(options.slow / 1000)
        with lock:
            tasks += 1
            if options.fail_every and tasks % options.fail_every == 0:
                return {"nack": task["receipt"], "delay": "100ms", "reason": "every so often"}
            print(json.dumps(task["payload"]), flush=True)
        return {"ack": task["receipt"]}


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


with Server(("127.0.0.1", options.port), Worker) as server:
    if options.port_file:
        with open(options.port_file + ".new", "w") as file:
            file.write(str(server.server_address[1]))
        os.rename(options.port_file + ".new", options.port_file)
    server.serve_forever()
