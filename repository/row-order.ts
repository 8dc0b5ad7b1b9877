/**
 * Sorts rows without creating an object for each: millions of entries would take a hundred bytes each.
 * @param count rows, numbered from 0
 * @param keyOf returns the key of a row, a number that sorts it
 * @param compareEqual decides between rows with the same key
 * @returns the row numbers in their order
 */
export function rowOrder(
  count: number,
  keyOf: (row: number) => number,
  compareEqual: (a: number, b: number) => number,
): Uint32Array {
  const keys = Float64Array.from({ length: count }, (_, row) => keyOf(row));
  const order = Uint32Array.from({ length: count }, (_, row) => row);
  return order.sort((a, b) => (keys[a] as number) - (keys[b] as number) || compareEqual(a, b));
}
