/** The node's filesystems, fullest first. */

import { arrange, el, setText } from "../dom";
import { bytes, percent } from "../format";
import type { Filesystem } from "../model";
import { DISK, level } from "../order";
import { Meter } from "./parts";

class Row {
  readonly #used = el("span", { class: "number" });
  readonly #meter = new Meter();
  readonly #free = el("td", { class: "number" });
  readonly #size = el("td", { class: "number" });
  readonly element: HTMLElement;

  constructor(filesystem: Filesystem) {
    const { mountpoint, device, fstype } = filesystem;
    const used = el("td", { class: "share" }, this.#used, this.#meter.element);
    const origin = el("td", { class: "origin", title: device }, device);
    this.element = el("tr", {}, el("th", { scope: "row", title: mountpoint }, mountpoint), used, this.#free, this.#size, origin, el("td", { class: "type" }, fstype));
  }

  show(filesystem: Filesystem): void {
    const found = level(filesystem.used_ratio, DISK);
    setText(this.#used, percent(filesystem.used_ratio));
    this.#used.dataset["level"] = found;
    this.#meter.show(filesystem.used_ratio, found);
    setText(this.#free, bytes(filesystem.avail_bytes));
    setText(this.#size, bytes(filesystem.size_bytes));
  }
}

export class Filesystems {
  readonly #body = el("tbody");
  readonly #rows = new Map<string, Row>();
  readonly element: HTMLElement;

  constructor() {
    const heads = ["Mounted at", "Used", "Free", "Size", "Device", "Type"].map((text) => el("th", { scope: "col" }, text));
    const table = el("table", { class: "filesystems" }, el("thead", {}, el("tr", {}, ...heads)), this.#body);
    this.element = el("section", { class: "panel wide", "aria-label": "Filesystems" }, el("header", {}, el("h3", {}, "Filesystems")), table);
  }

  show(filesystems: readonly Filesystem[]): void {
    this.element.hidden = filesystems.length === 0;
    const ordered = [...filesystems].sort((a, b) => b.used_ratio - a.used_ratio || (a.mountpoint < b.mountpoint ? -1 : 1));
    const rows = new Map(ordered.map((filesystem) => [JSON.stringify([filesystem.mountpoint, filesystem.device, filesystem.fstype]), filesystem]));
    for (const key of this.#rows.keys()) if (!rows.has(key)) this.#rows.delete(key);
    for (const [key, filesystem] of rows) {
      if (!this.#rows.has(key)) this.#rows.set(key, new Row(filesystem));
      this.#rows.get(key)?.show(filesystem);
    }
    arrange(this.#body, [...rows.keys()].flatMap((key) => this.#rows.get(key)?.element ?? []));
  }
}
