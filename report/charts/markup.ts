/** HTML or SVG that is safe to insert into a page. */
export class Markup {
  constructor(readonly text: string) {}
}

/** A value that can be inserted into `markup`; text is always escaped. */
type Piece = Markup | string | number | readonly Piece[];

/** Builds HTML or SVG from a template literal. */
export function markup(strings: TemplateStringsArray, ...pieces: Piece[]): Markup {
  const texts = strings.map((text, number) => text + written(pieces[number] ?? ""));
  return new Markup(texts.join(""));
}

function written(piece: Piece): string {
  if (piece instanceof Markup) return piece.text;
  if (typeof piece === "number") return String(Math.round(piece * 100) / 100);
  if (typeof piece === "string") return escapeText(piece);
  return piece.map(written).join("");
}

const ESCAPES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * Escapes text for HTML, also in quoted attributes.
 * Control characters are not valid in HTML, except tabs and line ends.
 */
function escapeText(text: string): string {
  return text
    .replace(/(?![\t\n\r])\p{Cc}/gu, "\ufffd")
    .replace(/[&<>"']/g, (character: string) => ESCAPES[character] as string);
}
