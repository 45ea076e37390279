/** The chart colours of the style sheet, resolved for a canvas. */

export interface Palette {
  lines: string[];
  free: string;
  grid: string;
  text: string;
  dark: boolean;
}

const LINES = 8;

/** Custom properties hold `light-dark(…)`; only a computed colour says which one applies. */
export function readPalette(): Palette {
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const read = (name: string): string => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const palette = {
    lines: Array.from({ length: LINES }, (_, index) => read(`--line-${index + 1}`)),
    free: read("--line-free"),
    grid: read("--grid"),
    text: read("--text-faint"),
    dark: read("--is-dark") === "rgb(1, 1, 1)",
  };
  probe.remove();
  return palette;
}

/** Many lines share a run of hues; few get distinct colours. */
export function lineColor(palette: Palette, label: string, index: number, total: number): string {
  if (label === "free") return palette.free;
  if (total <= LINES) return palette.lines[index % LINES] ?? palette.text;
  const hue = Math.round(210 + (index / total) * 300) % 360;
  return `hsl(${hue} 62% ${palette.dark ? 62 : 45}%)`;
}

/** Takes what browsers compute, "rgb(1, 2, 3)", and what `lineColor` makes, "hsl(1 2% 3%)". */
export function withAlpha(color: string, alpha: number): string {
  const inner = /^(?:rgb|hsl)\(([^/]+)\)$/.exec(color)?.[1];
  if (inner === undefined) return color;
  return color.startsWith("rgb") ? `rgba(${inner}, ${alpha})` : `hsl(${inner} / ${alpha})`;
}
