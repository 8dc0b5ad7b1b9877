const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** 1536 -> "1.5 KiB" */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** 3723 -> "1h02m", 62 -> "1m02s", 6.23 -> "6.2s" */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return "--";
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const s = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, "0");
  if (s >= 3600) return `${Math.floor(s / 3600)}h${two(Math.floor((s % 3600) / 60))}m`;
  return s >= 60 ? `${Math.floor(s / 60)}m${two(s % 60)}s` : `${s}s`;
}

const DAY_SECONDS = 86_400;

/** 3723 -> "1h02m old", 183600 -> "2d03h old", -60 -> "dated 1m00s from now" */
export function formatAge(seconds: number): string {
  if (seconds < 0) return `dated ${formatLong(-seconds)} from now`;
  return `${formatLong(seconds)} old`;
}

function formatLong(seconds: number): string {
  if (seconds < DAY_SECONDS) return formatSeconds(seconds);
  const hours = Math.floor((seconds % DAY_SECONDS) / 3600);
  return `${Math.floor(seconds / DAY_SECONDS)}d${String(hours).padStart(2, "0")}h`;
}

export function formatPercent(part: number, whole: number): string {
  return `${whole === 0 ? 0 : Math.round((part / whole) * 100)}%`;
}

/** Formats rows as lines, with columns as wide as their widest cell. The caller aligns numbers. */
export function formatTable(rows: string[][]): string[] {
  const printed = rows.map((row) => row.map(printableLine));
  const widths = (printed[0] ?? []).map((_, column) =>
    printed.reduce((width, row) => Math.max(width, (row[column] ?? "").length), 0),
  );
  return printed.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

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
