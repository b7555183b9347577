/**
 * The log: one JSON object per line with time, level, event and fields.
 *
 * Levels:
 *   error  something of ours is broken and a person must look: a damaged store, a failed disk, a bug
 *   warn   it goes on, but not as it should: a peer lied, a source of randomness was dropped, the disk fills up
 *   info   what an operator wants to see of a healthy day: started, stopped, ready, a member joined; never one line per request
 *   debug  one line per request and its outcome
 *
 * `event` is a fixed word of ours (`store-opened`); what varies goes into fields. At info and above no field may hold a text
 * that a peer chose, and no level may hold a secret: both are the caller's duty. What is removed below is a second net only.
 */
import { type DestinationStream, destination, type Logger, pino } from "pino";
import { IntercloudError } from "../protocols/wire/errors.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A log that adds these fields to every line. */
  child(fields: LogFields): Log;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** Anything with `write(line)`. Default: standard error, written at once, so that the last line before a crash is there. */
  readonly destination?: DestinationStream;
}

export function createLog({ level, destination: target = destination({ fd: 2, sync: true }) }: LogOptions): Log {
  const logger = pino(
    {
      level,
      base: null,
      messageKey: "event",
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }), log: readable, bindings: readable },
      redact: { paths: SECRET_PATHS, censor: "[removed]" },
    },
    target,
  );
  return wrap(logger);
}

const SECRET_NAMES = [
  "seed",
  "secret",
  "passphrase",
  "password",
  "privateKey",
  "sharedKey",
  "mask",
  "share",
  "plaintext",
];
const SECRET_PATHS = SECRET_NAMES.flatMap((name) => [name, `*.${name}`]);

function wrap(logger: Logger): Log {
  return {
    debug: (event, fields = {}) => logger.debug(fields, event),
    info: (event, fields = {}) => logger.info(fields, event),
    warn: (event, fields = {}) => logger.warn(fields, event),
    error: (event, fields = {}) => logger.error(fields, event),
    child: (fields) => wrap(logger.child(fields)),
  };
}

/** Errors in a form that fits a line; bytes as their length, because most of ours are secret or long. */
function readable(fields: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, readableValue(value)]));
}

function readableValue(value: unknown): unknown {
  if (value instanceof Uint8Array) return `[${value.length} bytes]`;
  if (value instanceof IntercloudError) return { code: value.code, status: value.status, message: value.message };
  // An error that we did not throw on purpose: where it came from is what matters.
  if (value instanceof Error) return { name: value.name, message: value.message, stack: value.stack };
  return value;
}
