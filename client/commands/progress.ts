/** A progress line on stderr: only when that is a terminal, only when the work is long, and never with --json. */
import type { CommandContext } from "../../runtime/command.ts";
import { bytesText } from "./text.ts";

/** Shorter work is over before a line could be read. */
const SHOW_AFTER_MS = 500;
const REDRAW_MS = 100;
const CLEAR_LINE = "\r\x1b[K";

export interface Progress {
  readonly phase: string;
  readonly doneBytes: number;
  /** Undefined when it is not known: a pipe is being read. */
  readonly totalBytes: number | undefined;
}

export interface ProgressLine {
  update(progress: Progress): void;
  /** Takes the line off the terminal, so that what comes next stands alone. */
  clear(): void;
}

export function progressLine(
  context: Pick<CommandContext, "json" | "stderr">,
  nowMs: () => number = () => performance.now(),
): ProgressLine {
  const { stderr } = context;
  if (context.json || !("isTTY" in stderr) || stderr.isTTY !== true) return { update() {}, clear() {} };
  const startedAtMs = nowMs();
  const phaseAtMs = new Map<string, number>();
  let drawnAtMs = 0;
  let shown = false;
  return {
    update(progress) {
      const atMs = nowMs();
      const beganAtMs = phaseAtMs.get(progress.phase) ?? atMs;
      phaseAtMs.set(progress.phase, beganAtMs);
      if (atMs - startedAtMs < SHOW_AFTER_MS || atMs - drawnAtMs < REDRAW_MS) return;
      drawnAtMs = atMs;
      shown = true;
      stderr.write(CLEAR_LINE + progressText(progress, atMs - beganAtMs));
    },
    clear() {
      if (shown) stderr.write(CLEAR_LINE);
      shown = false;
    },
  };
}

export function progressText({ phase, doneBytes, totalBytes }: Progress, elapsedMs: number): string {
  const rate = elapsedMs < SHOW_AFTER_MS ? "" : `  ${bytesText(Math.round((doneBytes * 1000) / elapsedMs))}/s`;
  if (totalBytes === undefined) return `${phase}  ${bytesText(doneBytes)}${rate}`;
  const percent = totalBytes === 0 ? 100 : Math.floor((100 * Math.min(doneBytes, totalBytes)) / totalBytes);
  return `${phase} ${String(percent).padStart(3)}%  ${bytesText(doneBytes)} of ${bytesText(totalBytes)}${rate}`;
}
