/** One listener, one table. The table is also the help page. */

export interface Binding {
  /** One key, or two pressed after another ("g f"). */
  keys: string;
  help: string;
  run: () => void;
}

const CHORD_MS = 1_200;

const NAMES: Record<string, string> = { " ": "Space" };

export function keyName(key: string): string {
  return NAMES[key] ?? key;
}

/** Turns key presses into bindings; knows nothing of the document. */
export class Keys {
  readonly #bindings: readonly Binding[];
  #first = "";
  #firstAt = Number.NEGATIVE_INFINITY;

  constructor(bindings: readonly Binding[]) {
    this.#bindings = bindings;
  }

  /** Runs what the key means at `now` (milliseconds); answers whether it meant something. */
  press(key: string, now: number): boolean {
    const chord = now - this.#firstAt <= CHORD_MS ? `${this.#first} ${keyName(key)}` : "";
    this.#firstAt = Number.NEGATIVE_INFINITY;
    const binding = this.#find(chord) ?? this.#find(keyName(key));
    if (binding !== undefined) {
      binding.run();
      return true;
    }
    if (this.#bindings.some((other) => other.keys.startsWith(`${key} `))) {
      this.#first = key;
      this.#firstAt = now;
      return true;
    }
    return false;
  }

  #find(keys: string): Binding | undefined {
    return this.#bindings.find((binding) => binding.keys === keys);
  }
}

/** A key that the focused element needs itself is left to it. */
function belongsToElement(event: KeyboardEvent): boolean {
  const target = event.target;
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.matches("input, textarea, select")) return event.key !== "Escape";
  if (target.closest("dialog") !== null && event.key !== "?") return true;
  return event.key === " " && target.matches("button, summary");
}

export function listen(keys: Keys): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (belongsToElement(event)) return;
    if (keys.press(event.key, event.timeStamp)) event.preventDefault();
  });
}
