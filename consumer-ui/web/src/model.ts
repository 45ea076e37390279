/** The shapes the server sends (API contract of weir-ui). `null` always means "not known". */

export type NodeState = "live" | "late" | "gone";

export interface BrokerStatus {
  connected: boolean;
  url: string;
  error: string | null;
}

export interface NodeSummary {
  node: string;
  state: NodeState;
  last_seen: number;
  cpu_busy_ratio: number | null;
  memory_used_ratio: number | null;
  memory_total_bytes: number | null;
  disk_used_ratio: number | null;
  disk_mountpoint: string | null;
  network_receive_bytes_per_second: number | null;
  network_transmit_bytes_per_second: number | null;
  load1: number | null;
  uptime_seconds: number | null;
  cores: number | null;
  os: string | null;
  agent_version: string | null;
  missed_samples: number;
  failed_collectors: string[];
}

export interface Fleet {
  now: number;
  broker: BrokerStatus;
  nodes: NodeSummary[];
}

export type Unit = "ratio" | "bytes" | "bytes_per_second" | "per_second" | "load" | "seconds";

export type Values = (number | null)[];

export interface Line {
  label: string;
  values: Values;
}

export interface Chart {
  id: string;
  title: string;
  unit: Unit;
  stacked: boolean;
  time: number[];
  lines: Line[];
}

export interface NodeInfo {
  kernel: string;
  os: string;
  cpu_model: string;
  cores: number;
  boot_id: string;
  agent_version: string;
}

export interface Filesystem {
  mountpoint: string;
  device: string;
  fstype: string;
  size_bytes: number;
  avail_bytes: number;
  used_ratio: number;
}

export interface NodeDetail {
  now: number;
  summary: NodeSummary;
  info: NodeInfo | null;
  filesystems: Filesystem[];
  charts: Chart[];
}

export interface Points {
  node: string;
  charts: { id: string; time: number[]; values: Values[] }[];
  reset: boolean;
}

export interface Group {
  group: string;
  lag_records: number;
  lag_seconds: number;
  in_flight: number;
  redelivered: number;
}

export interface Topic {
  topic: string;
  partitions: number;
  records: number;
  bytes: number;
  publish_per_second: number | null;
  bytes_per_second: number | null;
  groups: Group[];
}

export interface Topics {
  now: number;
  topics: Topic[];
  delivery: Delivery;
}

export type BreakerState = "CLOSED" | "OPEN" | "HALF_OPEN";

export interface Breaker {
  state: BreakerState;
  since: number | null;
  next_trial_at: number | null;
  consecutive_failures: number;
  opened: number;
}

/** Whom messages are pushed to. Totals count since the broker started. */
export interface Target {
  target: string;
  breaker: Breaker;
  in_flight: number;
  delivered: number;
  failed: number;
  last_error: string | null;
}

export interface Worker extends Target {
  id: number;
  topic: string;
  group: string;
  queue: number | null;
  concurrency: number;
  paused: boolean;
}

/** Those in trouble first; `total` and `open` also count what is not among the rows. */
export interface Listing<T> {
  rows: T[];
  total: number;
  open: number;
}

/** The queue of the partitioned broker's clients. */
export interface Gateway {
  topic: string;
  consumers: number;
  producers: number;
  partitions: number;
  brokers: number;
  messages_in_queue: number;
  sent: number;
  received: number;
}

export interface Delivery {
  workers: Listing<Worker>;
  backends: Listing<Target>;
  gateway: Gateway | null;
  missing: { part: "workers" | "backends" | "gateway"; reason: string }[];
}
