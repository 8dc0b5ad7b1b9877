/**
 * The id that a step has made for a volume of the instance.
 * @throws Error when there is none, which a step that ended well does not leave behind: without an id nothing must go on
 */
export function madeId(ids: Record<string, string> | undefined, volumeId: string): string {
  return givenId(ids?.[volumeId], `of what was made for ${volumeId}`);
}

/** An id that AWS always gives, and that its SDK calls optional. */
export function givenId(id: string | undefined, what: string): string {
  if (id === undefined || id === "") throw new Error(`The id ${what} is missing.`);
  return id;
}
