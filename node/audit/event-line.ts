/** One event of an audit log, for programs and for people. */
import { decodeEvent, readEntry } from "../../protocols/audit/index.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";

export interface EventLine {
  readonly sequence: number;
  /** ISO 8601, by the node's clock. */
  readonly time: string;
  readonly kind: string;
  /** The event's fields; bytes are hexadecimal. */
  readonly [field: string]: string | number | null;
}

/** @param entry as it is stored, @param event what its key opened. */
export function eventLine(entry: Uint8Array, event: Uint8Array): EventLine {
  const { sequence = 0, timeMs = 0 } = readEntry(entry) ?? {};
  return { sequence, time: isoTime(timeMs), ...fieldsOf(event) };
}

/** `12  2030-01-31T12:00:00.000Z  sealed  tokenId=4f... identity=key:...` */
export function lineText({ sequence, time, kind, ...fields }: EventLine): string {
  const shown = Object.entries(fields).map(([name, value]) => ` ${name}=${value === null ? "-" : printable(value)}`);
  return `${sequence}  ${time}  ${kind.padEnd(7)}${shown.join("")}`;
}

export function isoTime(timeMs: number): string {
  return new Date(timeMs).toISOString();
}

/** A kind that a later release has added is shown as it is. */
function fieldsOf(event: Uint8Array): { kind: string; [field: string]: string | number | null } {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  try {
    const { kind, ...fields } = decodeEvent(event);
    const shown = Object.entries(fields).map(([name, value]) => [
      name,
      value instanceof Uint8Array ? hex(value) : value,
    ]);
    return { kind, ...Object.fromEntries(shown) };
  } catch (error) {
    if (!(error instanceof IntercloudError)) throw error;
    return { kind: "unknown", cbor: hex(event) };
  }
}

/** An identity may hold anything; a terminal must not obey it. */
function printable(value: string | number): string {
  return String(value).replace(/[\p{C}\p{Z}]/gu, "?");
}
