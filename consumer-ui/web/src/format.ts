/** Numbers as people read them. Every function takes `null` and answers with a dash. */

import type { Unit } from "./model";

export const UNKNOWN = "–";

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const THOUSANDS = ["", "k", "M", "G", "T"];

type Maybe = number | null | undefined;

function known(value: Maybe): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** Three significant digits at most, so that columns stay narrow: 9.87, 98.7, 987. */
function short(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return trimZeros(value.toFixed(digits));
}

function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function scaled(value: number, step: number, names: readonly string[]): [number, string] {
  let power = 0;
  let rest = Math.abs(value);
  // 999.6 would print as "1000".
  while (rest >= step * 0.9995 && power < names.length - 1) {
    rest /= step;
    power += 1;
  }
  return [value / step ** power, names[power] ?? ""];
}

export function bytes(value: Maybe): string {
  if (!known(value)) return UNKNOWN;
  const [number, name] = scaled(value, 1024, BINARY);
  return `${name === "B" ? Math.round(number) : short(number)} ${name}`;
}

export function bytesPerSecond(value: Maybe): string {
  return known(value) ? `${bytes(value)}/s` : UNKNOWN;
}

export function count(value: Maybe): string {
  if (!known(value)) return UNKNOWN;
  if (Math.abs(value) < 10_000) return Math.round(value).toLocaleString("en");
  const [number, name] = scaled(value, 1000, THOUSANDS);
  return `${short(number)} ${name}`.trim();
}

export function perSecond(value: Maybe): string {
  if (!known(value)) return UNKNOWN;
  const [number, name] = scaled(value, 1000, THOUSANDS);
  return `${short(number)}${name === "" ? "" : ` ${name}`}/s`;
}

export function percent(value: Maybe): string {
  if (!known(value)) return UNKNOWN;
  const hundredths = value * 100;
  const digits = Math.abs(hundredths) < 9.95 ? 1 : 0;
  return `${hundredths.toFixed(digits)} %`;
}

export function load(value: Maybe): string {
  return known(value) ? value.toFixed(2) : UNKNOWN;
}

/** Two units at most: 3 d 4 h, 12 min 5 s, 850 ms. */
export function duration(seconds: Maybe): string {
  if (!known(seconds)) return UNKNOWN;
  if (seconds < 0) return "0 s";
  if (seconds > 0 && seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(whole, 60, "min", 1, "s");
  if (whole < 86_400) return pair(whole, 3600, "h", 60, "min");
  return pair(whole, 86_400, "d", 3600, "h");
}

function pair(seconds: number, big: number, bigName: string, small: number, smallName: string): string {
  const rest = Math.floor((seconds % big) / small);
  const head = `${Math.floor(seconds / big)} ${bigName}`;
  return rest === 0 ? head : `${head} ${rest} ${smallName}`;
}

/** "now" up to two seconds, then whole seconds, minutes, hours: short enough for a column. */
export function ago(milliseconds: Maybe): string {
  if (!known(milliseconds)) return UNKNOWN;
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 3) return "now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** Wall clock of the viewer, 24 hours, with seconds. */
export function clock(milliseconds: number): string {
  const date = new Date(milliseconds);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export function clockMinutes(milliseconds: number): string {
  return clock(milliseconds).slice(0, 5);
}

export function plural(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

const BY_UNIT: Record<Unit, (value: Maybe) => string> = {
  ratio: percent,
  bytes,
  bytes_per_second: bytesPerSecond,
  per_second: perSecond,
  load,
  seconds: duration,
};

export function byUnit(unit: Unit): (value: Maybe) => string {
  return BY_UNIT[unit] ?? count;
}
