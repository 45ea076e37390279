/** What the shell needs from a page. */

import type { Route } from "../router";
import type { State } from "../store";

export interface View {
  state: State;
  route: Route;
  /** The server's clock, milliseconds; stands still while paused. */
  now: number;
}

export interface Page {
  readonly element: HTMLElement;
  title(view: View): string;
  update(view: View): void;
  /** What j and k move between. */
  items(): HTMLElement[];
  /** The filter box, if the page has one. */
  readonly search: HTMLInputElement | null;
  themeChanged(): void;
  close(): void;
}

export interface Shell {
  go(route: Route, how?: "push" | "replace"): void;
  say(text: string): void;
  refresh(): void;
}
