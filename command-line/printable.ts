/**
 * Characters that control a terminal or that a reader cannot see: control characters (C0, DEL, C1), format
 * characters (bidi controls, zero-width ones), line and paragraph separators, lone surrogates, and all
 * characters that Unicode marks as default-ignorable.
 */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;

/**
 * Returns the text as one line without terminal control characters: `\u{1b}` stands for an escape, `\u{a}`
 * for a line feed. Names, tags and messages come from other people, and each must stay on one line of output.
 */
export function printableLine(text: string): string {
  return text.replace(HIDDEN, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

/** Returns equivalent JSON with every such character escaped, for example `\u001b`. */
export function printableJson(value: unknown, indent = 0): string {
  const json = JSON.stringify(value, null, indent);
  // Remaining line feeds come from the indentation: JSON.stringify has escaped those in strings.
  return json.replace(HIDDEN, (character) => (character === "\n" ? character : jsonEscape(character)));
}

function jsonEscape(character: string): string {
  const units = Array.from({ length: character.length }, (_, unit) => character.charCodeAt(unit));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}
