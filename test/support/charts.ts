import assert from "node:assert/strict";
import type { Chromium } from "./chromium.js";

/** The state of a page in the browser. */
interface Seen {
  title: string;
  charts: SeenChart[];
  /** The lowest contrast between a text and the background of the page (WCAG 2, 1.4.3). */
  contrast: number;
  /** Pixels by which the page is wider than the window. */
  overflow: number;
}

interface SeenChart {
  name: string;
  /** Number of shapes by their first class. Shapes without an extent are left out. */
  shapes: Record<string, number>;
  texts: string[];
  /** Texts and shapes that reach beyond the chart, and texts that overlap. */
  faults: string[];
}

/** A script that runs in the page. */
const LOOK = `(() => {
  const boxOf = (element) => element.getBoundingClientRect();
  const inside = (a, b) => a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;
  const overlap = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  const charts = [...document.querySelectorAll("svg")].map((svg) => {
    const texts = [...svg.querySelectorAll("text")];
    const shapes = [...svg.querySelectorAll("rect,path,circle")].filter((shape) => boxOf(shape).width + boxOf(shape).height > 0);
    const count = {};
    for (const shape of shapes) count[shape.classList[0]] = (count[shape.classList[0]] ?? 0) + 1;
    const faults = [...texts, ...shapes].filter((one) => !inside(boxOf(one), boxOf(svg))).map((one) => "outside: " + (one.textContent || one.outerHTML.slice(0, 120)));
    for (const [number, one] of texts.entries()) for (const other of texts.slice(number + 1)) {
      if (overlap(boxOf(one), boxOf(other))) faults.push("overlap: " + one.textContent + " and " + other.textContent);
    }
    return { name: svg.getAttribute("aria-label"), shapes: count, texts: texts.map((one) => one.textContent), faults };
  });
  const light = (colour) => {
    const [r, g, b] = colour.match(/[0-9.]+/g).map((part) => part / 255).map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = light(getComputedStyle(document.body).backgroundColor);
  const contrasts = [...document.querySelectorAll("h1,h2,h3,p,li,dt,dd,th,td,footer,svg text")].map((one) => {
    const text = light(one.namespaceURI.endsWith("svg") ? getComputedStyle(one).fill : getComputedStyle(one).color);
    return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
  });
  const { scrollWidth, clientWidth } = document.documentElement;
  return { title: document.title, charts, contrast: Math.min(...contrasts), overflow: scrollWidth - clientWidth };
})()`;

/**
 * Asserts that a report is sound in all displays: light and dark backgrounds, desktop and phone widths. Saves
 * a picture of each background.
 * @param name of the pictures
 */
export async function assertSoundReport(browser: Chromium, path: string, name: string): Promise<SeenChart[]> {
  let charts: SeenChart[] = [];
  for (const scheme of ["light", "dark"] as const) {
    await browser.prefer(scheme);
    for (const width of [390, 1280]) {
      await browser.resize(width);
      await browser.open(path);
      const seen = await browser.evaluate<Seen>(LOOK);
      assert.deepEqual(
        seen.charts.flatMap(({ faults }) => faults),
        [],
        `${scheme}, ${width} pixels`,
      );
      assert.ok(seen.contrast >= 4.5, `contrast of ${seen.contrast}, ${scheme}`);
      assert.equal(seen.overflow, 0, `${width} pixels`);
      charts = seen.charts;
    }
    await browser.screenshot(`${name}-${scheme}`);
  }
  assert.deepEqual(browser.complaints, []);
  assert.deepEqual(
    [...new Set(browser.requests)].filter((url) => !url.startsWith("file:")),
    [],
  );
  return charts;
}

export function chartNamed(charts: SeenChart[], name: string): SeenChart {
  const chart = charts.find((one) => one.name === name);
  assert.ok(chart !== undefined, `${name} among ${charts.map((one) => one.name).join(", ")}`);
  return chart;
}
