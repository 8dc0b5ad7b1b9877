/**
 * Returns the id that a step recorded for a volume.
 * @throws Error when the id is missing; a completed step always records one, and no step may continue without
 * it
 */
export function madeId(ids: Record<string, string> | undefined, volumeId: string): string {
  return givenId(ids?.[volumeId], `of what was made for ${volumeId}`);
}

/**
 * Returns an id that AWS always sends, although its SDK types call it optional.
 * @throws Error when the id is missing
 */
export function givenId(id: string | undefined, what: string): string {
  if (id === undefined || id === "") throw new Error(`The id ${what} is missing.`);
  return id;
}
