/** What steers a terminal, or turns the direction of what follows; tabs and the ends of lines are left. */
const STEERING = /(?![\t\n])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu;

/**
 * Text in which whatever a repository or AWS says of itself stays visible, and does nothing else: `\u001b` for an escape, which is
 * also how JSON has it.
 */
export function printable(text: string): string {
  return text.replace(STEERING, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
