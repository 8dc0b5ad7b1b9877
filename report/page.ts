import { Markup, markup } from "./charts/markup.js";
import { STYLE } from "./style.js";

/** The start of every page, which also identifies existing pages. */
export const DOCTYPE = "<!doctype html>";
/** Id of the element that contains the figures, for scripts. */
const FIGURES_ID = "blockferry-figures";

export interface Page {
  title: string;
  content: Markup[];
  /** All figures of the page, which it contains as JSON for scripts. */
  figures: unknown;
}

/** Returns a self-contained page; its policy forbids browsers to load or run anything. */
export function page({ title, content, figures }: Page): Markup {
  return markup`${new Markup(DOCTYPE)}
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${new Markup(STYLE)}</style>
<main>
${content}
<footer class="quiet">Written by blockferry. The figures are in this page as JSON, in the element <code>${FIGURES_ID}</code>.</footer>
</main>
<script type="application/json" id="${FIGURES_ID}">${new Markup(jsonForScript(figures))}</script>
</html>
`;
}

/**
 * Returns the figures that `page` was given.
 * @throws SyntaxError when the page has no figures
 */
export function figuresOf(html: string): unknown {
  const start = `id="${FIGURES_ID}">`;
  return JSON.parse(html.slice(html.lastIndexOf(start) + start.length, html.lastIndexOf("</script>")));
}

/** Returns JSON that cannot end the element or start a comment. */
function jsonForScript(value: unknown): string {
  return JSON.stringify(value).replaceAll("<", "\\u003c");
}

export interface LegendEntry {
  tone: string;
  name: string;
  value?: string;
}

export function legend(entries: LegendEntry[]): Markup {
  const items = entries.map(
    ({ tone, name, value = "" }) => markup`<li><i class="t-${tone}"></i>${name} <b>${value}</b></li>`,
  );
  return markup`<ul class="legend">${items}</ul>`;
}

/** Returns the few most important figures. */
export function keyFigures(entries: [name: string, value: string][]): Markup {
  return markup`<dl>${entries.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

export function figure(...content: Markup[]): Markup {
  return markup`<figure>${content}</figure>`;
}

/** Returns a table; the first row is the head. */
export function table([head = [], ...rows]: string[][]): Markup {
  return markup`<div class="table"><table><tr>${head.map((cell) => markup`<th>${cell}</th>`)}</tr>${rows.map(
    (row) => markup`<tr>${row.map((cell) => markup`<td>${cell}</td>`)}</tr>`,
  )}</table></div>`;
}
