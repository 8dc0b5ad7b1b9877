/**
 * Returns the text as one word of a shell command. The word is quoted if any character in it has a meaning in
 * a shell. A user may paste the command, and names and paths can come from other people. The output escapes
 * line feeds and other hidden characters. POSIX: "Shell Command Language", 2.2.2 Single-Quotes
 */
export function shellWord(text: string): string {
  return /^[\w+=,.@:/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
