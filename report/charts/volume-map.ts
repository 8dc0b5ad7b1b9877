import { formatBytes } from "../../command-line/format.js";
import { CHART_WIDTH, type Markup, markup, svg } from "./plot.js";

const COLUMNS = 128;
const LEFT = 80;
const STRIP_HEIGHT = 24;
const GAP = 8;
/** Keeps a single chunk among thousands visible. */
const LEAST_HEIGHT = 3;
/** Keeps the columns of a small volume narrow. */
const WIDEST_COLUMN = 26;

/** A stretch of the volume: the number of chunks with each outcome. */
interface MapCell {
  counts: number[];
}

interface MapKind {
  name: string;
  tone: string;
}

/**
 * Draws a volume from start to end, in strips that read like lines of text.
 * Each column is a stretch of the volume, divided by the outcomes of its chunks.
 * @param kinds kinds of the counts, from the bottom up
 * @param cellBytes size of a whole cell, in bytes
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
      // Identical neighbours become one box, because a line between them would show through.
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

/**
 * Returns the heights of the parts of a column.
 * Every nonzero count gets the minimum height, which is taken from the largest part.
 */
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
  const present = kinds.flatMap(({ name }, kind) => (counts[kind] === 0 ? [] : [`${counts[kind]} ${name}`]));
  return `from ${formatBytes(offset)}: chunks ${present.join(", ")}`;
}
