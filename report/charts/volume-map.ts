import { formatBytes } from "../../command-line/format.js";
import { type Markup, markup } from "./markup.js";
import { CHART_WIDTH, svg } from "./plot.js";

const COLUMNS = 128;
const LEFT = 80;
const STRIP_HEIGHT = 24;
const GAP = 8;
/** A single chunk among thousands is still to be seen. */
const LEAST_HEIGHT = 3;
/** A volume of a few chunks is not drawn as a row of posters. */
const WIDEST_COLUMN = 26;

/** A stretch of the volume: how many of its chunks had each outcome. */
export interface MapCell {
  counts: number[];
}

export interface MapKind {
  name: string;
  tone: string;
}

/**
 * A volume from its beginning to its end, in strips that are read as lines of text: each column is a stretch of it, divided by
 * what became of its chunks.
 * @param kinds of which the counts are, from the bottom up
 * @param cellBytes of a whole cell
 */
export function volumeMap(name: string, kinds: MapKind[], cells: MapCell[], cellBytes: number): Markup {
  const columns = Math.min(COLUMNS, Math.max(1, cells.length));
  const columnWidth = Math.min(WIDEST_COLUMN, (CHART_WIDTH - LEFT) / columns);
  const strips = Math.ceil(cells.length / columns);
  const drawn = Array.from({ length: strips }, (_, strip) => {
    const first = strip * columns;
    const y = strip * (STRIP_HEIGHT + GAP);
    const row = cells.slice(first, first + columns);
    return markup`<text x="${LEFT - 8}" y="${y + 16}" text-anchor="end">${first === 0 ? "0" : formatBytes(first * cellBytes)}</text>${layers(kinds, row, { y, columnWidth })}${row.map(
      (cell, column) =>
        markup`<rect class="cell" x="${LEFT + column * columnWidth}" y="${y}" width="${columnWidth}" height="${STRIP_HEIGHT}"><title>${describe(kinds, cell, (first + column) * cellBytes)}</title></rect>`,
    )}`;
  });
  return svg(name, { width: CHART_WIDTH, height: Math.max(1, strips) * (STRIP_HEIGHT + GAP) }, drawn);
}

function layers(
  kinds: MapKind[],
  row: MapCell[],
  { y, columnWidth }: { y: number; columnWidth: number },
): Markup[] {
  const heights = row.map(({ counts }) => heightsOf(counts));
  return kinds.map(({ tone }, kind) => {
    const boxes: string[] = [];
    for (let column = 0; column < row.length; ) {
      const height = heights[column]?.[kind] ?? 0;
      const below = sumBefore(heights[column] as number[], kind);
      let next = column + 1;
      // Neighbours that look alike become one box: a line between them would show through.
      while (
        next < row.length &&
        heights[next]?.[kind] === height &&
        sumBefore(heights[next] as number[], kind) === below
      )
        next++;
      if (height > 0) {
        const [x, top] = [LEFT + column * columnWidth, y + STRIP_HEIGHT - below - height];
        boxes.push(
          `M${x.toFixed(2)} ${top.toFixed(2)}h${((next - column) * columnWidth).toFixed(2)}v${height.toFixed(2)}H${x.toFixed(2)}Z`,
        );
      }
      column = next;
    }
    return markup`<path class="area t-${tone}" d="${boxes.join("")}"/>`;
  });
}

/** Of the strip; what is there at all gets the least height, at the cost of what is there most. */
function heightsOf(counts: number[]): number[] {
  const total = sumBefore(counts, counts.length);
  const heights = counts.map((count) =>
    count === 0 ? 0 : Math.max(LEAST_HEIGHT, (count / total) * STRIP_HEIGHT),
  );
  const largest = heights.indexOf(Math.max(...heights));
  heights[largest] = (heights[largest] as number) - (sumBefore(heights, heights.length) - STRIP_HEIGHT);
  return heights;
}

function sumBefore(values: number[], end: number): number {
  let sum = 0;
  for (let number = 0; number < end; number++) sum += values[number] as number;
  return sum;
}

function describe(kinds: MapKind[], { counts }: MapCell, offset: number): string {
  const told = kinds.flatMap(({ name }, kind) => (counts[kind] === 0 ? [] : [`${counts[kind]} ${name}`]));
  return `from ${formatBytes(offset)}: chunks ${told.join(", ")}`;
}
