import * as z from "zod/mini";

/** A number of bytes in a JSON document. */
export const byteCount = z.int().check(z.nonnegative());
