/** How numbers and tables are written for people. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** `1 B`, `1.5 KiB`, `128 MiB`: three digits are enough to read. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // 1023.6 would be written as 1024
  while (Math.round(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${Number(value.toFixed(digits))} ${UNITS[unit]}`;
}

/** Columns as wide as their widest cell; a row per line. */
export function tableText(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
  return rows.map((row) => `${line(row).trimEnd()}\n`).join("");
}

/** A file name may hold anything; a terminal must not obey it. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, "?");
}
