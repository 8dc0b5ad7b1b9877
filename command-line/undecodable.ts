import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { BlockferryError } from "../foundation/errors.js";
import { REPLACEMENT, shellBytes } from "../foundation/shell.js";

/** Variables that hold paths or parts of them. A passphrase is not a path, and its bytes are never shown. */
const PATH_VARIABLES =
  /^(?:(?:AWS|BLOCKFERRY)_(?!.*(?:PASSPHRASE|SECRET|TOKEN$))|(?:CREDENTIALS_DIRECTORY|HOME|NODE_EXTRA_CA_CERTS|TMPDIR|XDG_STATE_HOME)$)/;

/**
 * Refuses arguments and variables that are not UTF-8. Node changes their bytes, and would open another file
 * than the one that was named.
 * @param args the last arguments of this process
 * @throws Usage
 */
export function refuseUndecodable(args: readonly string[]): void {
  if (args.some((arg) => arg.includes(REPLACEMENT))) {
    const given = entriesOf("/proc/self/cmdline").slice(-args.length);
    const wrong = given.findIndex((bytes) => !isUtf8(bytes));
    if (wrong >= 0) throw notUtf8(`Argument ${wrong + 1}, ${shellBytes(given[wrong] as Buffer)},`);
  }
  const suspects = Object.keys(process.env).filter(
    (name) => PATH_VARIABLES.test(name) && process.env[name]?.includes(REPLACEMENT),
  );
  if (suspects.length === 0) return;
  for (const entry of entriesOf("/proc/self/environ")) {
    const name = entry.toString("latin1", 0, entry.indexOf("="));
    if (!suspects.includes(name) || isUtf8(entry)) continue;
    throw notUtf8(`The variable ${name}, ${shellBytes(entry.subarray(name.length + 1))},`);
  }
}

/** Returns the entries of a file of /proc that end in zero bytes; none if it cannot be read. */
function entriesOf(path: string): Buffer[] {
  let text: string;
  try {
    text = readFileSync(path, "latin1");
  } catch {
    return [];
  }
  return text
    .replace(/\0$/, "")
    .split("\0")
    .map((entry) => Buffer.from(entry, "latin1"));
}

/** @param what the argument or variable, with its bytes */
function notUtf8(what: string): BlockferryError {
  return new BlockferryError({
    code: "Usage",
    message: `${what} is not valid UTF-8. Paths and names must be UTF-8.`,
    remedy:
      "Rename the file or folder, or give another path to it, such as a bind mount (`mount --bind`) under a name in UTF-8.",
  });
}
