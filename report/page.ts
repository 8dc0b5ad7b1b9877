import { Markup, markup } from "./charts/markup.js";
import { STYLE } from "./style.js";

/** How every page begins, and how one is known. */
export const DOCTYPE = "<!doctype html>";
/** Where scripts find the figures of a page. */
const FIGURES_ID = "blockferry-figures";

export interface Page {
  title: string;
  content: Markup[];
  /** All that is drawn, for scripts: JSON in the page itself. */
  figures: unknown;
}

/** A page that needs nothing besides itself: browsers are told to load nothing and to run nothing. */
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

/** What `page` was given as figures. @throws SyntaxError where there are none */
export function figuresOf(html: string): unknown {
  const start = `id="${FIGURES_ID}">`;
  return JSON.parse(html.slice(html.lastIndexOf(start) + start.length, html.lastIndexOf("</script>")));
}

/** Nothing in it can end the element or begin a comment. */
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

/** The few figures that matter most. */
export function keyFigures(entries: [name: string, value: string][]): Markup {
  return markup`<dl>${entries.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

export function figure(...content: Markup[]): Markup {
  return markup`<figure>${content}</figure>`;
}

/** The first row is the head. */
export function table([head = [], ...rows]: string[][]): Markup {
  return markup`<div class="table"><table><tr>${head.map((cell) => markup`<th>${cell}</th>`)}</tr>${rows.map(
    (row) => markup`<tr>${row.map((cell) => markup`<td>${cell}</td>`)}</tr>`,
  )}</table></div>`;
}
