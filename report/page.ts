import { BlockferryError } from "../foundation/errors.js";
import { atPlace, PRIVATE_FILE_MODE } from "../foundation/held-place.js";
import { type OwnFile, refuseForeignFile, replaceFile, tryReplacing } from "../foundation/write-file.js";
import { Markup, markup } from "./charts/plot.js";

/** The start of every page, which also identifies existing pages. */
const DOCTYPE = "<!doctype html>";
/** Id of the element that contains the figures, for scripts. */
const FIGURES_ID = "blockferry-figures";

interface Page {
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

interface LegendEntry {
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

/** The colours of every tone that charts use, on a light and on a dark background. */
const TONES: Record<string, [light: string, dark: string]> = {
  zero: ["#dcdad3", "#3a3f45"],
  unchanged: ["#9db4ca", "#4f6b87"],
  deduplicated: ["#35857f", "#45a79f"],
  new: ["#dd8327", "#eb9b4b"],
  bad: ["#b4123f", "#ff5d80"],
  device: ["#c3d0dd", "#3c4d5e"],
  read: ["#8297ab", "#71879d"],
  zeros: ["#5b7896", "#8fa9c4"],
  hash: ["#35857f", "#45a79f"],
  compress: ["#dd8327", "#eb9b4b"],
  send: ["#85649f", "#a886c4"],
  storage: ["#dccbb8", "#5c4b39"],
  first: ["#35857f", "#45a79f"],
  second: ["#dd8327", "#eb9b4b"],
  third: ["#85649f", "#a886c4"],
  fourth: ["#5b7896", "#8fa9c4"],
  other: ["#b9b7ae", "#5a6068"],
};

const tonesOf = (ground: 0 | 1) =>
  Object.entries(TONES)
    .map(([tone, colours]) => `.t-${tone}{--tone:${colours[ground]}}`)
    .join("");

/**
 * The style sheet of all reports.
 * It is light or dark like the reader's system, and loads no fonts or images.
 */
const STYLE = `
:root{color-scheme:light dark;--ground:#fdfdfb;--text:#1c1f22;--quiet:#5a5f66;--rule:#dddcd5}
${tonesOf(0)}
@media(prefers-color-scheme:dark){:root{--ground:#15181b;--text:#e7e6e2;--quiet:#a4a9b0;--rule:#343a40}${tonesOf(1)}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);font:15px/1.55 system-ui,-apple-system,"Segoe UI","Liberation Sans","DejaVu Sans",sans-serif;font-variant-numeric:tabular-nums}
main{max-width:60rem;margin:0 auto;padding:2.5rem 1.5rem 4rem}
h1{font-size:1.7rem;font-weight:600;line-height:1.25;margin:0 0 .3rem;overflow-wrap:anywhere}
h2{font-size:1.15rem;font-weight:600;margin:2.8rem 0 .8rem;padding-top:1rem;border-top:1px solid var(--rule)}
h3{font-size:1rem;font-weight:600;margin:1.6rem 0 .5rem;overflow-wrap:anywhere}
p{margin:.4rem 0;max-width:46rem}
.quiet{color:var(--quiet);font-size:.87rem;overflow-wrap:anywhere}
bdi{overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:1rem 1.5rem;margin:1.5rem 0 0}
dt{color:var(--quiet);font-size:.8rem}
dd{margin:0;font-size:1.35rem;font-weight:600;line-height:1.3}
figure{margin:1rem 0 1.4rem;overflow-x:auto}
svg{display:block;width:100%;min-width:40rem;height:auto}
svg text{font:12px system-ui,-apple-system,"Segoe UI","Liberation Sans","DejaVu Sans",sans-serif;fill:var(--quiet)}
svg text.value{fill:var(--text)}
.grid{stroke:var(--rule)}
.axis{stroke:var(--quiet)}
.area{fill:var(--tone)}
.line{fill:none;stroke:var(--tone);stroke-width:1.8;stroke-linejoin:round}
.roof{fill:none;stroke:var(--text);stroke-width:2.4;stroke-linejoin:round}
.dot{fill:var(--tone);stroke:var(--ground);stroke-width:1.5}
.cell{fill:transparent}
.cell:hover{stroke:var(--text)}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.4rem;margin:.6rem 0 0;padding:0;list-style:none;font-size:.87rem}
.legend i{display:inline-block;width:.8rem;height:.8rem;margin-right:.45rem;border-radius:2px;background:var(--tone);vertical-align:-1px}
.legend b{font-weight:600}
.table{overflow-x:auto}
table{border-collapse:collapse;margin:1rem 0;font-size:.9rem}
th,td{padding:.3rem 1.4rem .3rem 0;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th{color:var(--quiet);font-weight:400}
th:first-child,td:first-child{text-align:left}
footer{margin-top:3rem;padding-top:1rem;border-top:1px solid var(--rule)}
`;

const PAGE: OwnFile = { what: "a web page", beginning: new RegExp(`^${DOCTYPE}`, "i") };

/** The path of a report that is written later. */
export class ReportFile {
  private constructor(private readonly path: string) {}

  /**
   * Checks that a page can be written there, and leaves no file behind.
   * An existing file is later replaced only if it is a page, because a mistyped name may be that of a disk
   * image.
   * @throws ReportNotWritable
   */
  static async prepare(path: string): Promise<ReportFile> {
    try {
      await atPlace(path, async (place) => {
        await refuseForeignFile(place, PAGE);
        await tryReplacing(place);
      });
    } catch (error) {
      throw notWritable(path, error);
    }
    return new ReportFile(path);
  }

  /**
   * Writes the page. A new file is readable only by its owner, because it shows tags, paths and maps of the
   * volumes.
   * @throws RefusedPath when another kind of file is there by now; a system error
   */
  async write(page: Markup): Promise<void> {
    await atPlace(this.path, async (place) => {
      await refuseForeignFile(place, PAGE);
      await replaceFile(place, page.text, PRIVATE_FILE_MODE);
    });
  }
}

function notWritable(path: string, cause: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "ReportNotWritable",
      message: `The report cannot be written to ${path}: ${reasonOf(cause)}.`,
      remedy:
        "Nothing was started. Name a new file in a folder that exists and that blockferry may write to, as in --report backup.html",
      object: path,
    },
    cause,
  );
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
