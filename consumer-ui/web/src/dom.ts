/** Elements without HTML strings: whatever comes from outside ends in a text node or a safe attribute. */

type Child = Node | string | null;

export interface Attributes {
  class?: string;
  id?: string;
  title?: string;
  role?: string;
  type?: string;
  name?: string;
  placeholder?: string;
  tabindex?: string;
  scope?: string;
  for?: string;
  autocomplete?: string;
  spellcheck?: string;
  hidden?: string;
  [aria: `aria-${string}`]: string;
  [data: `data-${string}`]: string;
}

export function el<T extends keyof HTMLElementTagNameMap>(
  tag: T,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[T] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value as string);
  append(element, children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg<T extends keyof SVGElementTagNameMap>(
  tag: T,
  attributes: Record<string, string> = {},
  ...children: Child[]
): SVGElementTagNameMap[T] {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  append(element, children);
  return element;
}

function append(element: Element, children: Child[]): void {
  for (const child of children) if (child !== null) element.append(child);
}

/** Writes only what changed: an unchanged text costs no layout and no screen reader's attention. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element: Element, name: string, value: string | null): void {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/** Brings `parent`'s children into the given order, moving only those out of place. */
export function arrange(parent: Element, children: readonly Element[]): void {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, index) => {
    const present = parent.children[index];
    if (present !== child) parent.insertBefore(child, present ?? null);
  });
}

/** Moves the focus by `step` within the list; from outside it starts at the first or last one. */
export function moveFocus(items: readonly HTMLElement[], step: 1 | -1): void {
  const current = items.findIndex((item) => item.contains(document.activeElement));
  const start = step > 0 ? 0 : items.length - 1;
  const next = current < 0 ? start : Math.min(Math.max(current + step, 0), items.length - 1);
  const item = items[next];
  item?.focus({ preventScroll: true });
  item?.scrollIntoView({ block: "nearest" });
}
