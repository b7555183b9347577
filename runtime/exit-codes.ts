/** What a command says with its exit code (DESIGN section 11). */
import { IntercloudError, type Status } from "../protocols/wire/errors.ts";

export const EXIT = {
  done: 0,
  /** Unexpected failure. */
  failure: 1,
  /** Wrong use. */
  usage: 2,
  /** Not the owner, no valid identity. */
  refused: 3,
  /** Not enough providers. */
  unavailable: 4,
  /** Something lied. */
  integrity: 5,
  notFound: 6,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const EXIT_OF_STATUS: Readonly<Record<Status, ExitCode>> = {
  "bad-request": EXIT.usage,
  refused: EXIT.refused,
  expired: EXIT.refused,
  replayed: EXIT.refused,
  "not-found": EXIT.notFound,
  conflict: EXIT.failure,
  busy: EXIT.unavailable,
  full: EXIT.unavailable,
  integrity: EXIT.integrity,
  damaged: EXIT.integrity,
  unreachable: EXIT.unavailable,
  timeout: EXIT.unavailable,
  cancelled: EXIT.failure,
  internal: EXIT.failure,
};

export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof IntercloudError ? EXIT_OF_STATUS[error.status] : EXIT.failure;
}
