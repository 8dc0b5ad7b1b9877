/**
 * Returns the text as one word of a shell command. The word is quoted if any character in it has a meaning in
 * a shell. A user may paste the command, and names and paths can come from other people. The output escapes
 * line feeds and other hidden characters. POSIX: "Shell Command Language", 2.2.2 Single-Quotes
 */
export function shellWord(text: string): string {
  return /^[\w+=,.@:/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
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
