/** HTML or SVG that may stand in a page as it is. */
export class Markup {
  constructor(readonly text: string) {}
}

/** What may stand in the holes of `markup`; text is escaped, whatever is in it. */
type Piece = Markup | string | number | readonly Piece[];

/** A template of HTML or SVG. */
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

/** Also for attributes in quotes. Control characters, but for tabs and line ends, have no place in HTML. */
function escapeText(text: string): string {
  return text
    .replace(/(?![\t\n\r])\p{Cc}/gu, "\ufffd")
    .replace(/[&<>"']/g, (character: string) => ESCAPES[character] as string);
}
