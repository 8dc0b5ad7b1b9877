import { isUtf8 } from "node:buffer";

/**
 * Returns the text as one word of a shell command. The word is quoted if any character in it has a meaning in
 * a shell. A user may paste the command, and names and paths can come from other people. The output escapes
 * line feeds and other hidden characters. POSIX: "Shell Command Language", 2.2.2 Single-Quotes
 */
export function shellWord(text: string): string {
  return /^[\w+=,.@:/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Node puts this character in the place of bytes that are not UTF-8. */
export const REPLACEMENT = "\ufffd";

/**
 * Returns bytes as text, such as a file name. Bytes that are not UTF-8 become one quoted word of a shell that
 * shows all of them: `$'\\xff.img'`. bash: "ANSI-C Quoting"
 */
export function shellBytes(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString();
  const shown = Array.from(bytes, (byte) => {
    const isPlain = byte >= 0x20 && byte < 0x7f && byte !== 0x27 && byte !== 0x5c;
    return isPlain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
  });
  return `$'${shown.join("")}'`;
}

/** Where Debian, Amazon Linux and systemd look for programs. */
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Returns the environment for a child process: only the variables for finding programs and temporary files.
 * Passphrases and AWS credentials are in variables too. Every child would inherit them, and they would show
 * up in /proc/PID/environ and in core dumps.
 */
export function bareEnvironment(): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR } = process.env;
  return {
    PATH: PATH === undefined || PATH === "" ? DEFAULT_PATH : PATH,
    LC_ALL: "C",
    ...(HOME === undefined ? {} : { HOME }),
    ...(TMPDIR === undefined ? {} : { TMPDIR }),
  };
}
