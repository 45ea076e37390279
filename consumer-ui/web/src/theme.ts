/** Light, dark, or as the system says. Kept in this browser; colours come from the style sheet. */

const KEY = "weir-theme";
const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return THEMES.find((theme) => theme === value) ?? "system";
  } catch {
    return "system";
  }
}

function store(theme: Theme): void {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // A browser that forbids storage shows the choice until the page is left.
  }
}

export class ThemeChoice {
  #theme = stored();
  readonly #changed: () => void;

  constructor(changed: () => void) {
    this.#changed = changed;
    this.#apply();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  }

  get theme(): Theme {
    return this.#theme;
  }

  next(): void {
    this.#theme = THEMES[(THEMES.indexOf(this.#theme) + 1) % THEMES.length] ?? "system";
    store(this.#theme);
    this.#apply();
    this.#changed();
  }

  #apply(): void {
    if (this.#theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = this.#theme;
  }
}
