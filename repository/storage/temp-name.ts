import { randomBytes } from "node:crypto";
import { OWNER_TOKEN, OWNER_TOKEN_FORM } from "../../foundation/owner-token.js";

const TEMP_NAME = new RegExp(`^(${OWNER_TOKEN_FORM})@[0-9a-f]{16}$`);

/** Returns a new name for a temporary object of this process: `<owner token>@<16 hex>`. */
export function newTempName(): string {
  return `${OWNER_TOKEN}@${randomBytes(8).toString("hex")}`;
}

/**
 * Returns the owner token in the name of a temporary object.
 * @returns undefined for every other name: blockferry never created that object, and must not remove it
 */
export function tempNameOwner(name: string): string | undefined {
  return TEMP_NAME.exec(name)?.[1];
}
