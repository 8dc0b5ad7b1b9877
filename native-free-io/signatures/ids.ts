/** Returns a text from a fixed-length field, without its padding; undefined when it is empty. */
export function textOf(bytes: Buffer): string | undefined {
  const end = bytes.indexOf(0);
  const text = bytes.toString("utf8", 0, end < 0 ? bytes.length : end).trim();
  return text === "" ? undefined : text;
}

/** Formats an id in the order of its bytes, grouped as in RFC 9562; undefined when all bytes are zero. */
export function formatUuid(bytes: Buffer): string | undefined {
  const hex = bytes.toString("hex");
  if (/^0*$/.test(hex)) return undefined;
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Formats an id whose first three groups are little-endian (UEFI Specification, appendix A). */
export function formatGuid(bytes: Buffer): string | undefined {
  if (bytes.length < 16) return undefined;
  const ordered = Buffer.from(bytes);
  ordered.subarray(0, 4).reverse();
  ordered.subarray(4, 6).reverse();
  ordered.subarray(6, 8).reverse();
  return formatUuid(ordered);
}
