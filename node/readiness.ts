/** Whether the node is ready, and why not: codes for programs, messages for people. */
import { IntercloudError } from "../protocols/wire/errors.ts";
import type { Cause } from "../runtime/admin-server.ts";

/**
 * How long a node that has met nobody yet counts as not ready. After that it is: it can serve whoever reaches it, and nodes
 * that all wait for each other before they are let in would wait for ever.
 */
export const FIRST_MEETING_MS = 10_000;

export interface ReadinessInputs {
  /** Undefined while it starts. */
  readonly startedAtMs: number | undefined;
  readonly stopping: boolean;
  readonly storeDamaged: boolean;
  /** Undefined while there is no store yet. */
  readonly freeBytes: number | undefined;
  readonly minFreeBytes: number;
  readonly otherMembers: number;
  readonly everConnected: boolean;
  readonly nowMs: number;
}

export function causesAgainst(inputs: ReadinessInputs): Cause[] {
  const causes: Cause[] = [];
  const add = (code: string, message: string) => void causes.push({ code, message });
  const { startedAtMs, freeBytes } = inputs;
  if (inputs.stopping) add("SHUTTING_DOWN", "the node was told to stop");
  else if (startedAtMs === undefined) add("STARTING", "the node is checking its store, or is not listening yet");
  if (inputs.storeDamaged) {
    add("STORE_DAMAGED", "the store is damaged; stop the node and start it again: it will say what to do");
  }
  if (freeBytes !== undefined && freeBytes < inputs.minFreeBytes) {
    add("DISK_LOW", "too little space is free for new deposits; free some, or lower minFreeBytes");
  }
  const waiting = startedAtMs !== undefined && inputs.nowMs - startedAtMs < FIRST_MEETING_MS;
  if (waiting && inputs.otherMembers > 0 && !inputs.everConnected) {
    add("NO_PEERS", "no other member of the federation has been reached since the start");
  }
  return causes;
}

/** Whether an error shows that the store as a whole cannot be trusted any more. */
export function tellsOfDamage(error: unknown): boolean {
  return error instanceof IntercloudError && error.code === "STORE_DAMAGED";
}
