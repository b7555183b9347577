/** The rows as a table for people. */
import type { Row } from "./row.ts";

const HEADINGS = ["what", "value", "against", "unit", "ratio", "target", "met"];

export function tableOf(rows: readonly Row[]): string {
  const lines = [HEADINGS, ...rows.map(cellsOf)];
  const widths = HEADINGS.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  const text = lines.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return `${text.join("\n")}\n`;
}

function cellsOf({ name, unit, value, against, ratio, target, met }: Row): string[] {
  const verdict = met === null ? "" : met ? "yes" : "NO";
  return [name, figure(value), figure(against), unit, ratio === null ? "" : ratio.toFixed(2), target ?? "", verdict];
}

function figure(value: number | null): string {
  if (value === null) return "";
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}
