/** An address that leads nowhere. */

import { el } from "../dom";
import { FLEET } from "../router";
import type { Page } from "./page";
import { empty, link } from "./parts";

export class MissingPage implements Page {
  readonly search = null;
  readonly element: HTMLElement;
  readonly #back = link(FLEET, "To the fleet", "button");

  constructor(path: string) {
    const note = empty("There is no such page", path);
    note.append(this.#back);
    this.element = el("div", { class: "page" }, note);
  }

  title(): string {
    return "Not found";
  }

  update(): void {}

  items(): HTMLElement[] {
    return [this.#back];
  }

  themeChanged(): void {}
  close(): void {}
}
