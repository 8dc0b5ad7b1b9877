/** A range of bytes in a file or device. */
export interface ByteRange {
  /** Position of the first byte. */
  offset: number;
  /** Number of bytes. */
  length: number;
}

/** Sorts ranges and joins those of them that touch or overlap. */
export function mergeRanges(ranges: ByteRange[]): ByteRange[] {
  const merged: ByteRange[] = [];
  for (const { offset, length } of ranges.toSorted((a, b) => a.offset - b.offset)) {
    const last = merged.at(-1);
    const lastEnd = last === undefined ? -1 : last.offset + last.length;
    if (last !== undefined && offset <= lastEnd)
      last.length = Math.max(lastEnd, offset + length) - last.offset;
    else merged.push({ offset, length });
  }
  return merged;
}
