/** Ties address, store and page together, and draws at most once per frame. */

import type { Live } from "./api";
import { moveFocus } from "./dom";
import type { Binding } from "./keyboard";
import { FleetPage } from "./pages/fleet";
import { MissingPage } from "./pages/missing";
import { NodePage } from "./pages/node";
import type { Page, Shell, View } from "./pages/page";
import { TopicsPage } from "./pages/topics";
import { address, FLEET, parse, type Route, samePage, TOPICS } from "./router";
import { Frame } from "./shell";
import { serverNow, type State, type Store } from "./store";
import { ThemeChoice } from "./theme";

export class App implements Shell {
  readonly bindings: readonly Binding[];
  readonly #store: Store;
  readonly #live: Live;
  readonly #frame: Frame;
  readonly #theme: ThemeChoice;
  #route: Route = parse(location.pathname, location.search);
  #page: Page;
  #drawing = 0;
  /** What was on screen when the viewer pressed pause. */
  #paused: { state: State; now: number } | null = null;

  constructor(store: Store, live: Live) {
    this.#store = store;
    this.#live = live;
    this.bindings = this.#bind();
    this.#theme = new ThemeChoice(() => this.#themeChanged());
    this.#frame = new Frame({ pause: () => this.#togglePause(), theme: () => this.#theme.next(), help: () => this.#frame.toggleHelp() }, this.bindings);
    this.#page = this.#build();
    this.#frame.main.replaceChildren(this.#page.element);
  }

  start(): void {
    this.#store.subscribe(() => this.refresh());
    window.addEventListener("popstate", () => this.#arrive(parse(location.pathname, location.search)));
    document.addEventListener("click", (event) => this.#followLink(event));
    // "Last seen" ages and the charts' right edge moves even when nothing arrives.
    window.setInterval(() => this.refresh(), 1_000);
    this.#follow();
    this.refresh();
  }

  go(route: Route, how: "push" | "replace" = "push"): void {
    if (address(route) === address(this.#route)) return;
    if (how === "replace") history.replaceState(null, "", address(route));
    else history.pushState(null, "", address(route));
    this.#arrive(route);
  }

  say(text: string): void {
    this.#frame.say(text);
  }

  refresh(): void {
    if (this.#drawing !== 0) return;
    this.#drawing = requestAnimationFrame(() => {
      this.#drawing = 0;
      this.#draw();
    });
  }

  #draw(): void {
    const view = this.#view();
    this.#page.update(view);
    this.#frame.show(this.#route, this.#page.title(view), this.#store.state, this.#paused !== null, this.#theme.theme);
  }

  #view(): View {
    const state = this.#paused?.state ?? this.#store.state;
    const now = this.#paused?.now ?? serverNow(state, Date.now());
    return { state, now, route: this.#route };
  }

  #arrive(route: Route): void {
    const stays = samePage(route, this.#route);
    this.#route = route;
    if (!stays) this.#turnPage();
    this.refresh();
  }

  #turnPage(): void {
    this.#paused = null;
    this.#page.close();
    this.#page = this.#build();
    this.#frame.main.replaceChildren(this.#page.element);
    this.#follow();
    window.scrollTo(0, 0);
    this.#frame.main.focus({ preventScroll: true });
  }

  #build(): Page {
    switch (this.#route.page) {
      case "fleet":
        return new FleetPage(this);
      case "topics":
        return new TopicsPage(this);
      case "node":
        return new NodePage(this, this.#route);
      case "missing":
        return new MissingPage(this.#route.path);
    }
  }

  #follow(): void {
    this.#live.watch(this.#route.page === "node" ? this.#route.node : null);
  }

  #followLink(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const anchor = event.target instanceof Element ? event.target.closest("a") : null;
    if (anchor === null || anchor.origin !== location.origin || anchor.getAttribute("href")?.startsWith("#")) return;
    event.preventDefault();
    this.go(parse(anchor.pathname, anchor.search));
  }

  #togglePause(): void {
    const view = this.#view();
    this.#paused = this.#paused === null ? { state: view.state, now: view.now } : null;
    this.say(this.#paused === null ? "Updates resumed" : "Updates paused");
    this.refresh();
  }

  #themeChanged(): void {
    this.#page.themeChanged();
    this.refresh();
  }

  #search(): void {
    this.#page.search?.focus();
    this.#page.search?.select();
  }

  /** One step back to the plain view: filter, zoom. */
  #escape(): void {
    const route = this.#route;
    if (route.page === "node" && route.range !== null) this.go({ ...route, range: null });
    else if ((route.page === "fleet" || route.page === "topics") && route.filter !== "") this.go({ ...route, filter: "" }, "replace");
  }

  #open(): void {
    const active = document.activeElement;
    if (active instanceof HTMLElement && active !== document.body) active.click();
  }

  #bind(): Binding[] {
    return [
      { keys: "/", help: "filter", run: () => this.#search() },
      { keys: "j", help: "next row or chart", run: () => moveFocus(this.#page.items(), 1) },
      { keys: "k", help: "previous row or chart", run: () => moveFocus(this.#page.items(), -1) },
      { keys: "Enter", help: "open the selected row", run: () => this.#open() },
      { keys: "g f", help: "go to the fleet", run: () => this.go(FLEET) },
      { keys: "g t", help: "go to the topics", run: () => this.go(TOPICS) },
      { keys: "Space", help: "pause or resume updates", run: () => this.#togglePause() },
      { keys: "t", help: "theme: system, light, dark", run: () => this.#theme.next() },
      { keys: "Escape", help: "clear the filter, end the zoom", run: () => this.#escape() },
      { keys: "?", help: "this list", run: () => this.#frame.toggleHelp() },
    ];
  }
}
