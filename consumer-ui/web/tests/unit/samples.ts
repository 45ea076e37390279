import type { Chart, Fleet, NodeDetail, NodeSummary, Topic } from "../../src/model";

export function summary(node: string, more: Partial<NodeSummary> = {}): NodeSummary {
  return {
    node,
    state: "live",
    last_seen: 0,
    cpu_busy_ratio: 0.1,
    memory_used_ratio: 0.1,
    memory_total_bytes: 1024,
    disk_used_ratio: 0.1,
    disk_mountpoint: "/",
    network_receive_bytes_per_second: 0,
    network_transmit_bytes_per_second: 0,
    load1: 0.1,
    uptime_seconds: 1,
    cores: 1,
    os: "Debian",
    agent_version: "0.1.0",
    missed_samples: 0,
    failed_collectors: [],
    ...more,
  };
}

export function fleet(now: number, ...nodes: NodeSummary[]): Fleet {
  return { now, broker: { connected: true, url: "http://broker", error: null }, nodes };
}

export function chart(time: number[], ...values: (number | null)[][]): Chart {
  const lines = values.map((column, index) => ({ label: `line ${index}`, values: column }));
  return { id: "cpu", title: "CPU", unit: "ratio", stacked: false, time, lines };
}

export function detail(node: string, ...charts: Chart[]): NodeDetail {
  return { now: 0, summary: summary(node), info: null, filesystems: [], charts };
}

export function topic(name: string, more: Partial<Topic> = {}): Topic {
  return { topic: name, partitions: 1, records: 0, bytes: 0, publish_per_second: 0, bytes_per_second: 0, groups: [], ...more };
}
