// A made-up fleet that moves: deterministic noise, so that a screenshot can be taken twice.

const HOUR = 3_600_000;
const GiB = 1024 ** 3;
const MiB = 1024 ** 2;

/** Smooth noise in 0..1 from a seed and a time. */
export function noise(seed, at, period) {
  const x = at / period;
  const whole = Math.floor(x);
  const part = x - whole;
  const value = (n) => {
    const s = Math.sin(n * 127.1 + seed * 311.7) * 43758.5453;
    return s - Math.floor(s);
  };
  const ease = part * part * (3 - 2 * part);
  return value(whole) * (1 - ease) + value(whole + 1) * ease;
}

const node = (name, seed, more = {}) => ({
  name,
  seed,
  cores: 8,
  memory: 32 * GiB,
  busy: 0.25,
  disk: 0.5,
  used: 0.5,
  os: "Debian GNU/Linux 12",
  interfaces: ["eth0"],
  disks: ["nvme0n1"],
  mounts: [["/", "/dev/nvme0n1p2", "ext4", 200 * GiB]],
  missed: 0,
  failed: [],
  silentFor: 0,
  gaps: [],
  ...more,
});

export const NODES = [
  node("api-1", 1, { busy: 0.42, interfaces: ["eth0", "eth1"], missed: 3, gaps: [[26, 29]] }),
  node("api-2", 2, { busy: 0.38, interfaces: ["eth0", "eth1"] }),
  node("db-primary.eu-central-1.example.internal", 3, {
    cores: 32,
    memory: 256 * GiB,
    busy: 0.55,
    used: 0.87,
    disk: 0.88,
    interfaces: ["bond0", "eth0", "eth1"],
    disks: ["nvme0n1", "nvme1n1"],
    mounts: [["/", "/dev/nvme0n1p2", "ext4", 400 * GiB], ["/var/lib/postgresql", "/dev/mapper/vg0-pg", "xfs", 7168 * GiB], ["/backup", "nas.internal:/export/backup", "nfs4", 40960 * GiB]],
  }),
  node("build-7", 4, { busy: 0.93, used: 0.72, disk: 0.67, os: "Fedora Linux 43", gaps: [[40, 44], [12, 13]] }),
  node("edge-berlin", 5, { cores: 4, memory: 8 * GiB, busy: 0.12, used: 0.4, silentFor: 95_000, os: "Alpine Linux 3.22" }),
  node("edge-oslo", 6, { cores: 4, memory: 8 * GiB, busy: 0.1, silentFor: 3 * HOUR, os: "Alpine Linux 3.22" }),
  node("storage-2", 7, {
    cores: 16,
    memory: 128 * GiB,
    busy: 0.18,
    disk: 0.966,
    failed: ["network"],
    interfaces: [],
    disks: ["sda", "sdb", "sdc"],
    mounts: [["/", "/dev/sda2", "ext4", 100 * GiB], ["/srv/objects", "/dev/md0", "xfs", 21504 * GiB]],
  }),
  node("<img src=x onerror=alert(1)>", 8, { busy: 0.05, used: 0.2, disk: 0.3 }),
];

const ratio = (value) => Math.min(Math.max(value, 0), 1);
const rounded = (value) => Number(value.toPrecision(5));

function isSilent(node, at, now) {
  if (at > now - node.silentFor) return true;
  const minutesAgo = (now - at) / 60_000;
  return node.gaps.some(([from, to]) => minutesAgo >= from && minutesAgo <= to);
}

function cpu(node, at) {
  const wave = noise(node.seed, at, 240_000) * 0.9 + noise(node.seed + 9, at, 6_000) * 0.35 + 0.35;
  return 0.93 * ratio(node.busy * wave);
}

function cpuModes(node, at) {
  const busy = cpu(node, at);
  const wait = 0.06 * noise(node.seed + 3, at, 30_000) * (node.disk + 0.2);
  return [busy * 0.68, busy * 0.02, busy * 0.22, 0, busy * 0.05, busy * 0.03 * noise(node.seed, at, 9_000), wait];
}

function memoryParts(node, at) {
  const used = node.memory * ratio(node.used * (0.94 + 0.1 * noise(node.seed + 5, at, 400_000)));
  const buffers = node.memory * 0.02;
  const cached = (node.memory - used - buffers) * (0.55 + 0.25 * noise(node.seed + 6, at, 900_000));
  return [used, buffers, cached, node.memory - used - buffers - cached];
}

const burst = (seed, at, top) => top * noise(seed, at, 300_000) ** 2 * (0.75 + 0.25 * noise(seed + 1, at, 20_000));

const load = (node, at) => node.cores * cpu(node, Math.floor(at / 5000) * 5000) * (0.8 + 0.5 * noise(node.seed + 2, at, 120_000));

const fill = (node, index, at) => ratio((index === node.mounts.length - 1 || node.mounts.length === 1 ? node.disk : node.disk * (0.4 + 0.17 * index)) - ((Date.now() - at) / HOUR) * 0.004);

/** Every chart: id, title, unit, stacked, interval, labels, values at a time. */
function charts(node) {
  const pairs = (names, words) => names.flatMap((name) => words.map((word) => `${name} ${word}`));
  const all = [
    ["cpu", "CPU by mode", "ratio", true, 1000, ["user", "nice", "system", "irq", "softirq", "steal", "iowait"], (at) => cpuModes(node, at)],
    ["cpu_cores", "CPU by core", "ratio", false, 1000, Array.from({ length: node.cores }, (_, i) => `cpu${i}`), (at) => Array.from({ length: node.cores }, (_, i) => ratio(cpu(node, at) * (0.5 + noise(node.seed * 40 + i, at, 12_000))))],
    ["memory", "Memory", "bytes", true, 5000, ["used", "buffers", "cached", "free"], (at) => memoryParts(node, at)],
    ["load", "Load", "load", false, 5000, ["1 min", "5 min", "15 min"], (at) => [load(node, at), (load(node, at) + load(node, at - 120_000)) / 2, (load(node, at - 300_000) + load(node, at - 600_000)) / 2]],
    ["network", "Network", "bytes_per_second", false, 5000, pairs(node.interfaces, ["receive", "transmit"]), (at) => node.interfaces.flatMap((_, i) => [burst(node.seed * 7 + i, at, 90 * MiB), burst(node.seed * 11 + i, at, 34 * MiB)])],
    ["disk_io", "Disk throughput", "bytes_per_second", false, 5000, pairs(node.disks, ["read", "written"]), (at) => node.disks.flatMap((_, i) => [burst(node.seed * 13 + i, at, 240 * MiB), burst(node.seed * 17 + i, at, 120 * MiB)])],
    ["disk_busy", "Disk busy", "ratio", false, 5000, node.disks, (at) => node.disks.map((_, i) => noise(node.seed * 19 + i, at, 200_000) ** 3)],
    ["filesystem", "Filesystems used", "ratio", false, 5000, node.mounts.map(([mount]) => mount), (at) => node.mounts.map((_, i) => fill(node, i, at))],
    ["pressure", "Pressure, some waiting", "ratio", false, 5000, ["cpu", "memory", "io"], (at) => [0.2 * noise(node.seed, at, 20_000) ** 4, 0.02 * noise(node.seed + 1, at, 60_000) ** 6, 0.12 * noise(node.seed + 2, at, 30_000) ** 3]],
  ];
  return all.filter(([, , , , , labels]) => labels.length > 0);
}

function samples([, , , , interval, labels, valuesAt], node, from, to, now) {
  const time = [];
  const values = labels.map(() => []);
  let wasSilent = false;
  for (let at = Math.ceil(from / interval) * interval; at <= to; at += interval) {
    const silent = isSilent(node, at, now);
    if (silent && wasSilent) continue;
    wasSilent = silent;
    time.push(at);
    const row = silent ? labels.map(() => null) : valuesAt(at).map(rounded);
    row.forEach((value, line) => values[line].push(value));
  }
  return { time, values };
}

export function summary(node, now) {
  const at = now - node.silentFor - (now % 1000);
  const state = node.silentFor > 300_000 ? "gone" : node.silentFor > 15_000 ? "late" : "live";
  const known = (value) => (state === "gone" ? null : value);
  const io = (index, top) => (node.interfaces.length === 0 ? null : burst(node.seed * index, at, top));
  return {
    node: node.name,
    state,
    last_seen: at,
    cpu_busy_ratio: known(cpu(node, at)),
    memory_used_ratio: known(memoryParts(node, at)[0] / node.memory),
    memory_total_bytes: node.memory,
    disk_used_ratio: known(fill(node, node.mounts.length - 1, at)),
    disk_mountpoint: node.mounts.at(-1)[0],
    network_receive_bytes_per_second: known(io(7, 90 * MiB)),
    network_transmit_bytes_per_second: known(io(11, 34 * MiB)),
    load1: known(load(node, at)),
    uptime_seconds: known(86_400 * node.seed * 5.3 + (at % 86_400_000) / 1000),
    cores: node.cores,
    os: node.os,
    agent_version: "0.1.0",
    missed_samples: node.missed,
    failed_collectors: node.failed,
  };
}

export function fleet(now, broker, nodes) {
  return { now, broker, nodes: [...nodes].sort((a, b) => (a.name < b.name ? -1 : 1)).map((node) => summary(node, now)) };
}

export function detail(node, now) {
  return {
    now,
    summary: summary(node, now),
    info: {
      kernel: "6.1.0-41-amd64",
      os: node.os,
      cpu_model: node.cores > 8 ? "AMD EPYC 9354P 32-Core Processor" : "Intel(R) Xeon(R) E-2378",
      cores: node.cores,
      boot_id: `0f6e2a1c-7b1d-4c59-9a51-00000000000${node.seed}`,
      agent_version: "0.1.0",
    },
    filesystems: node.mounts.map(([mountpoint, device, fstype, size], index) => ({ mountpoint, device, fstype, size_bytes: size, avail_bytes: Math.round(size * (1 - fill(node, index, now))), used_ratio: fill(node, index, now) })),
    charts: charts(node).map((chart) => {
      const [id, title, unit, stacked, , labels] = chart;
      const { time, values } = samples(chart, node, now - HOUR, now, now);
      return { id, title, unit, stacked, time, lines: labels.map((label, line) => ({ label, values: values[line] })) };
    }),
  };
}

/** What came after `since`, exclusive, up to `now`. */
export function points(node, since, now) {
  const found = charts(node)
    .map((chart) => ({ id: chart[0], ...samples(chart, node, since + 1, now, now) }))
    .filter((chart) => chart.time.length > 0 && chart.values.some((line) => line.some((value) => value !== null)));
  return { node: node.name, charts: found, reset: false };
}

const group = (name, lag_records, lag_seconds, in_flight = 0, redelivered = 0) => ({ group: name, lag_records: Math.round(lag_records), lag_seconds, in_flight: Math.round(in_flight), redelivered });

export function topics(now, delivery) {
  const rate = (seed, top) => top * (0.6 + 0.4 * noise(seed, now, 20_000));
  const seconds = Math.floor(now / 1000) % 100_000_000;
  const topic = (name, partitions, seed, top, size, groups) => {
    const publish = rate(seed, top);
    return { topic: name, partitions, records: Math.round(seconds * top * 0.002) + 12, bytes: Math.round(seconds * top * 0.002 * size), publish_per_second: publish, bytes_per_second: publish * size, groups };
  };
  return {
    now,
    delivery,
    topics: [
      topic("orders", 8, 1, 1840, 412, [group("billing", rate(3, 40), 0.4, 24, 3), group("fraud-detection", 18_400 + rate(4, 900), 742, 500, 1207), group("warehouse", 0, 0, 8, 0)]),
      topic("orders.dead-letter", 1, 2, 0, 0, [group("on-call", 12, 93, 1, 0)]),
      topic("emails", 2, 5, 12, 2100, [group("mailer", 340 + rate(6, 40), 128, 20, 41)]),
      topic("clicks", 16, 7, 38_000, 190, []),
      topic("host.cpu", 1, 8, 8, 620, []),
      topic("host.memory", 1, 9, 1.6, 840, [group("capacity-report", 0, 0, 0, 0)]),
    ],
  };
}
