#!/usr/bin/env python3
"""Simulates many agents against one broker and one dashboard, and looks at the result as a page does.

    weir up &
    python3 bench/fleet.py --agents 100 --seconds 30

Each agent sends what weir-agent sends (docs/host-metrics.md), one batch a second, staggered within the
second. Some nodes are watched over the dashboard's event stream: sample-to-screen is the time from a
sample's own timestamp to the arrival of the event that carries it. Afterwards the broker's records and
the dashboard's missed samples say whether anything was lost. Exit status 1 if so. Standard library only.
"""
import argparse
import http.client
import json
import sys
import threading
import time
import urllib.parse
import urllib.request

# Lines of a batch; the broker takes 10,000.
BATCH = 5000
TOPICS = ("host.cpu", "host.memory", "host.disk", "host.network", "host.system")


def now_ms():
    return time.time_ns() // 1_000_000


def get(base, path):
    with urllib.request.urlopen(base + path, timeout=30) as answer:
        return json.load(answer)


def values(topic, seq):
    """What a sample of `topic` carries, in the size of a small host."""
    if topic == "host.cpu":
        modes = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
        cpus = [{"cpu": cpu, **{mode: seq * 0.1 for mode in modes}} for cpu in range(4)]
        return {"cpus": cpus, "busy_ratio": 0.5}
    if topic == "host.memory":
        names = ("MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapTotal", "SwapFree")
        return {"bytes": {name: 8 << 30 for name in names}, "used_ratio": 0.4}
    if topic == "host.disk":
        filesystem = {"device": "/dev/vda", "mountpoint": "/", "fstype": "ext4", "size_bytes": 1 << 38,
                      "free_bytes": 1 << 37, "avail_bytes": 1 << 37, "files": 9, "files_free": 8,
                      "readonly": False, "device_error": False}
        disk = {"device": "vda", "reads_completed": seq, "read_bytes": seq << 12, "writes_completed": seq,
                "written_bytes": seq << 12, "io_time_seconds": seq * 0.01, "io_time_weighted_seconds": seq * 0.01}
        return {"filesystems": [filesystem], "disks": [disk]}
    if topic == "host.network":
        counts = {f"{way}_{what}": seq << 10 for way in ("receive", "transmit")
                  for what in ("bytes", "packets", "errs", "drop")}
        return {"interfaces": [{"device": "eth0", **counts}]}
    return {"load1": 0.5, "load5": 0.5, "load15": 0.5, "boot_time_seconds": 1, "uptime_seconds": seq,
            "context_switches": seq, "interrupts": seq, "forks": seq, "procs_running": 1, "procs_blocked": 0}


class Agent(threading.Thread):
    """One simulated agent on one kept connection."""

    def __init__(self, number, total, broker, until):
        super().__init__(daemon=True)
        self.node, self.offset, self.until = f"bench-{number:04}", number / total, until
        self.broker, self.boot = broker, f"boot-{now_ms()}-{number}"
        self.sent, self.errors = 0, 0

    def run(self):
        connection = http.client.HTTPConnection(self.broker.split("//")[1], timeout=30)
        seq, due = 0, time.monotonic() + self.offset
        while due < self.until:
            time.sleep(max(0.0, due - time.monotonic()))
            seq, due = seq + 1, due + 1
            lines = [self.line(topic, seq) for topic in TOPICS if topic == "host.cpu" or seq % 5 == 1]
            connection.request("POST", "/v1/messages", "\n".join(lines))
            answer = connection.getresponse()
            answer.read()
            if answer.status == 201:
                self.sent += len(lines)
            else:
                self.errors += 1
        connection.close()

    def line(self, topic, seq):
        interval = 1 if topic == "host.cpu" else 5
        number = seq if interval == 1 else seq // 5
        key = f"{self.node}/{self.boot}/{topic}/{number}"
        sample = self.sample(topic, seq, number, now_ms())
        return json.dumps({"topic": topic, "key": self.node, "id": key, "payload": sample})

    def sample(self, topic, seq, number, timestamp):
        interval = 1 if topic == "host.cpu" else 5
        return {"node": self.node, "timestamp": timestamp, "boot_id": self.boot, "seq": number,
                "interval_seconds": interval, **values(topic, seq)}

    def past(self, seconds):
        """What this agent would have sent before, under a boot of its own; without ids, so that the broker
        has not to remember them all at once."""
        begin, self.boot = now_ms() - seconds * 1000, f"before-{self.boot}"
        for second in range(seconds):
            for topic in TOPICS:
                if topic == "host.cpu" or second % 5 == 0:
                    number = second if topic == "host.cpu" else second // 5
                    sample = self.sample(topic, second, number, begin + second * 1000)
                    yield json.dumps({"topic": topic, "key": self.node, "payload": sample})
        self.boot = self.boot.removeprefix("before-")


def backfill(agents, broker, seconds):
    """Publishes what the agents would have sent until now."""
    connection = http.client.HTTPConnection(broker.split("//")[1], timeout=60)
    for agent in agents:
        lines = list(agent.past(seconds))
        for begin in range(0, len(lines), BATCH):
            connection.request("POST", "/v1/messages", "\n".join(lines[begin:begin + BATCH]))
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 201:
                sys.exit(f"the past was refused: {answer.status} {body.decode()}")
    connection.close()


class Watcher(threading.Thread):
    """A page that is open on one node."""

    def __init__(self, node, ui, until):
        super().__init__(daemon=True)
        self.url = f"{ui}/api/events?node={urllib.parse.quote(node)}"
        self.until, self.latencies_ms = until, []

    def run(self):
        with urllib.request.urlopen(self.url, timeout=30) as stream:
            event = ""
            for raw in stream:
                if time.monotonic() > self.until:
                    return
                line = raw.decode().rstrip("\n")
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:") and event == "points":
                    self.note(json.loads(line[5:]))

    def note(self, points):
        arrived = now_ms()
        for chart in points["charts"]:
            if chart["id"] == "cpu" and chart["time"]:
                self.latencies_ms.append(arrived - chart["time"][-1])


def records(broker):
    """Records of the host topics; each has one partition unless an operator chose otherwise."""
    topics = get(broker, "/v1/topics")["topics"]
    return {topic["topic"]: topic["records"] for topic in topics if topic["topic"] in TOPICS}


def percentile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--broker", default="http://127.0.0.1:5000")
    arguments.add_argument("--ui", default="http://127.0.0.1:8080")
    arguments.add_argument("--agents", type=int, default=100)
    arguments.add_argument("--seconds", type=int, default=30)
    arguments.add_argument("--watched", type=int, default=8, help="nodes that a page is open on")
    arguments.add_argument("--backfill", type=int, default=0, metavar="SECONDS",
                           help="only publishes this much of their past, so that there is history as after so long")
    chosen = arguments.parse_args()
    if chosen.backfill:
        past = [Agent(number, chosen.agents, chosen.broker, 0) for number in range(chosen.agents)]
        return backfill(past, chosen.broker, chosen.backfill)

    before = sum(records(chosen.broker).values())
    until = time.monotonic() + chosen.seconds
    agents = [Agent(number, chosen.agents, chosen.broker, until) for number in range(chosen.agents)]
    watchers = [Watcher(agent.node, chosen.ui, until) for agent in agents[:: max(1, chosen.agents // chosen.watched)]]
    for thread in agents + watchers:
        thread.start()
    for agent in agents:
        agent.join()
    stored = sum(records(chosen.broker).values()) - before
    for watcher in watchers:
        watcher.join(timeout=5)

    sent, errors = sum(agent.sent for agent in agents), sum(agent.errors for agent in agents)
    fleet = {node["node"]: node for node in get(chosen.ui, "/api/fleet")["nodes"]}
    shown = [fleet[agent.node] for agent in agents if agent.node in fleet]
    missed = sum(node["missed_samples"] for node in shown)
    latencies = sorted(ms for watcher in watchers for ms in watcher.latencies_ms)
    print(f"{chosen.agents} agents, {chosen.seconds} s: {sent} samples acknowledged, {errors} batches refused")
    print(f"broker   {stored} records more (an agent of its own adds to them)")
    print(f"page     {len(shown)} of {chosen.agents} nodes shown, {missed} samples missed")
    if latencies:
        p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
        print(f"screen   {len(latencies)} events, sample to screen p50 {p50} ms, p99 {p99} ms, max {latencies[-1]} ms")
    lost = stored < sent or missed > 0 or len(shown) < chosen.agents or not latencies
    print("LOST or unseen samples" if lost else "nothing lost")
    return 1 if lost or errors else 0


if __name__ == "__main__":
    sys.exit(main())
