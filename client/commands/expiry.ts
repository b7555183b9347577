/** `--expires`: how long from now, or until when. */
import { usageError } from "../../runtime/command.ts";

const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};
/** The year 9999: what a date can be written as. */
const MAX_TIME_MS = Date.UTC(9999, 11, 31);

/** With its zone, because a time without one means something else on each machine; a date is its beginning in UTC. */
const TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/;

/** @returns milliseconds since 1970; it may be in the past. @throws IntercloudError USAGE. */
export function expiryFrom(text: string, nowMs: number): number {
  const timeMs = afterNow(text, nowMs) ?? pointInTime(text);
  if (timeMs !== undefined && timeMs <= MAX_TIME_MS) return timeMs;
  throw usageError(`"${text}" is no expiry: write how long (30m, 12h, 7d, 4w), or until when (2030-01-31T12:00:00Z)`);
}

function afterNow(text: string, nowMs: number): number | undefined {
  const [, count = "", unit = ""] = /^(\d{1,9})([smhdw])$/.exec(text) ?? [];
  const unitMs = UNITS_MS[unit];
  return unitMs === undefined ? undefined : nowMs + Number(count) * unitMs;
}

function pointInTime(text: string): number | undefined {
  if (!TIME.test(text)) return undefined;
  const timeMs = Date.parse(text);
  const day = text.slice(0, 10);
  const dayMs = Date.parse(`${day}T00:00:00Z`);
  // 30 February would be read as a day in March
  const isDay = !Number.isNaN(dayMs) && new Date(dayMs).toISOString().startsWith(day);
  return isDay && !Number.isNaN(timeMs) ? timeMs : undefined;
}

/** `until 2030-01-31T12:00:00.000Z`, or until it is revoked. */
export function expiryText(expiresAtMs: number | null): string {
  return expiresAtMs === null ? "until it is revoked" : `until ${new Date(expiresAtMs).toISOString()}`;
}

export function isoOrNull(timeMs: number | null): string | null {
  return timeMs === null ? null : new Date(timeMs).toISOString();
}
