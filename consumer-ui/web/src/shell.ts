/** What surrounds every page: navigation, status, banner, help, the screen reader's voice. */

import { openCount } from "./breaker";
import { el, setAttribute, setText, svg } from "./dom";
import { count, plural } from "./format";
import type { Binding } from "./keyboard";
import { FLEET, type Route, TOPICS } from "./router";
import type { State } from "./store";
import type { Theme } from "./theme";
import { link } from "./pages/parts";

export interface ShellEvents {
  pause: () => void;
  theme: () => void;
  help: () => void;
}

/** Outlines on a 16 × 16 grid. */
const ICONS = {
  pause: "M5.500 3.500v9M10.500 3.500v9",
  play: "M5 3.200v9.600l7.500-4.800z",
  help: "M5.800 6.100a2.250 2.250 0 1 1 3.300 2c-.7.4-1.100.8-1.100 1.700M8 12.300v.1",
  system: "M2 3.500h12v7.500H2zM6 13.500h4",
  light: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1.500v1M8 13.500v1M1.500 8h1M13.500 8h1M3.400 3.400l.7.7M11.900 11.900l.7.7M12.600 3.400l-.7.7M4.100 11.900l-.7.7",
  dark: "M13.200 9.600A5.600 5.600 0 0 1 6.400 2.800a5.600 5.600 0 1 0 6.800 6.800z",
};

export class Frame {
  readonly main = el("main", { id: "main", tabindex: "-1" });
  readonly #fleet = link(FLEET, "Fleet");
  readonly #topics = link(TOPICS, "Topics");
  readonly #openNumber = el("span", { "aria-hidden": "true" });
  readonly #openWords = el("span", { class: "visually-hidden" });
  readonly #open = el("span", { class: "badge", hidden: "" }, this.#openNumber, this.#openWords);
  readonly #status = el("span", { class: "status" }, el("span", { class: "dot", "aria-hidden": "true" }), el("span", { class: "status-text" }));
  readonly #pause = new IconButton("Pause updates (Space)", "pause");
  readonly #theme = new IconButton("Theme", "system");
  readonly #help = new IconButton("Keyboard shortcuts (?)", "help");
  readonly #banner = el("div", { class: "banner", role: "status" });
  readonly #voice = el("div", { class: "visually-hidden", "aria-live": "polite", id: "voice" });
  readonly #dialog: HTMLDialogElement;

  constructor(events: ShellEvents, bindings: readonly Binding[]) {
    this.#dialog = helpDialog(bindings);
    this.#pause.element.addEventListener("click", events.pause);
    this.#theme.element.addEventListener("click", events.theme);
    this.#help.element.addEventListener("click", events.help);
    this.#topics.append(this.#open);
    document.body.append(this.#skipLink(), this.#header(), this.main, this.#banner, this.#voice, this.#dialog);
  }

  show(route: Route, title: string, state: State, paused: boolean, theme: Theme): void {
    setAttribute(this.#fleet, "aria-current", route.page === "fleet" ? "page" : route.page === "node" ? "true" : null);
    setAttribute(this.#topics, "aria-current", route.page === "topics" ? "page" : null);
    const full = `${title} · Weir`;
    if (document.title !== full) document.title = full;
    this.#showStatus(state, paused);
    this.#showOpen(state.topics === null ? 0 : openCount(state.topics.delivery));
    this.#showTheme(theme);
    this.main.toggleAttribute("data-stale", state.link === "lost");
    this.#showBanner(problem(state));
  }

  say(text: string): void {
    setText(this.#voice, text);
  }

  toggleHelp(): void {
    if (this.#dialog.open) this.#dialog.close();
    else this.#dialog.showModal();
  }

  #skipLink(): HTMLElement {
    const skip = el("a", { class: "skip" }, "Skip to content");
    skip.href = "#main";
    return skip;
  }

  #header(): HTMLElement {
    const brand = link(FLEET, "", "brand");
    brand.append(logo(), "Weir");
    const nav = el("nav", { class: "nav", "aria-label": "Pages" }, this.#fleet, this.#topics);
    return el("header", { class: "top" }, brand, nav, el("span", { class: "grow" }), this.#status, this.#pause.element, this.#theme.element, this.#help.element);
  }

  #showStatus(state: State, paused: boolean): void {
    const kind = state.link === "open" ? (paused ? "paused" : "live") : state.link;
    const text = { live: "Live", paused: "Paused", connecting: "Connecting", lost: "Reconnecting" }[kind];
    setAttribute(this.#status, "data-kind", kind);
    setText(this.#status.lastElementChild ?? this.#status, text);
    this.#pause.show(paused ? "Resume updates (Space)" : "Pause updates (Space)", paused ? "play" : "pause");
  }

  /** Targets that get nothing are to be seen from every page. */
  #showOpen(open: number): void {
    this.#open.hidden = open === 0;
    const words = `${plural(open, "circuit breaker")} open`;
    setText(this.#openNumber, count(open));
    setText(this.#openWords, open === 0 ? "" : `, ${words}`);
    setAttribute(this.#open, "title", words);
  }

  #showTheme(theme: Theme): void {
    this.#theme.show(`Theme: ${theme} (t)`, theme);
  }

  #showBanner(text: string): void {
    if (text !== "") setText(this.#banner, text);
    this.#banner.toggleAttribute("data-shown", text !== "");
  }
}

/** What stands between the viewer and fresh figures, in words. */
export function problem(state: State): string {
  if (state.link === "lost") return "Connection to the dashboard's server lost. The figures stand still; trying again.";
  const broker = state.fleet?.broker;
  if (broker === undefined || broker.connected) return "";
  const reason = broker.error === null ? "" : ` (${broker.error})`;
  return `The dashboard's server cannot reach the broker at ${broker.url}${reason}. It keeps trying.`;
}

class IconButton {
  readonly #path = svg("path", { fill: "none", stroke: "currentColor", "stroke-width": "1.5", "stroke-linecap": "round", "stroke-linejoin": "round" });
  readonly element = el("button", { type: "button", class: "icon" }, svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, this.#path));

  constructor(title: string, icon: keyof typeof ICONS) {
    this.show(title, icon);
  }

  show(title: string, icon: keyof typeof ICONS): void {
    setAttribute(this.#path, "d", ICONS[icon]);
    setAttribute(this.element, "title", title);
    setAttribute(this.element, "aria-label", title);
  }
}

function logo(): SVGElement {
  const line = (d: string, opacity: string) => svg("path", { d, opacity, fill: "none", stroke: "currentColor", "stroke-width": "2.6", "stroke-linecap": "round" });
  return svg("svg", { viewBox: "0 0 32 32", class: "logo", "aria-hidden": "true" }, line("M3 11h10c5 0 4 11 8 11h8", "1"), line("M3 17h8c4 0 4 6 6 9", ".5"));
}

function helpDialog(bindings: readonly Binding[]): HTMLDialogElement {
  const rows = bindings.filter((binding) => binding.help !== "").map((binding) => {
    const keys = binding.keys.split(" ").map((key) => el("kbd", {}, key));
    return el("div", {}, el("dt", {}, ...keys), el("dd", {}, binding.help));
  });
  const charts = el("div", {}, el("dt", {}, el("kbd", {}, "←"), el("kbd", {}, "→")), el("dd", {}, "read a focused chart's values (Home, End, Page Up, Page Down)"));
  const close = el("button", { type: "button", class: "quiet" }, "Close");
  const dialog = el("dialog", { "aria-label": "Keyboard shortcuts" }, el("h2", {}, "Keyboard"), el("dl", { class: "keys" }, ...rows, charts), close);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  return dialog;
}
