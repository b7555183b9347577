/**
 * The federation as its file says now. The file may come after the dealer was started, and may be replaced while it runs; a
 * file that is not valid changes nothing.
 */
import { stat } from "node:fs/promises";
import type { SignedFederation } from "../protocols/identity/federation.ts";
import type { Clock } from "../protocols/wire/clock.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { readFederation } from "../runtime/federation.ts";

export interface FederationWatchOptions {
  readonly file: string;
  /** Must have signed it; undefined: whoever it names as its founder. */
  readonly founder: Uint8Array | undefined;
  readonly clock: Clock;
  readonly onChange: (federation: SignedFederation) => void;
  /** Once for each version of the file that is not valid. */
  readonly onBadFile: (error: IntercloudError) => void;
}

export interface FederationWatch {
  /** Undefined as long as there was no valid file. */
  current(): SignedFederation | undefined;
  stop(): void;
}

/** A member that was added is known within this time; looking at a file's date costs nothing. */
const INTERVAL_MS = 1_000;

/** Resolves when the file has been looked at for the first time, whether or not it is there. */
export async function watchFederation(options: FederationWatchOptions): Promise<FederationWatch> {
  const { file, founder, clock } = options;
  let current: SignedFederation | undefined;
  let seen: string | undefined;
  let stopped = false;
  let cancel = () => {};

  async function look(): Promise<void> {
    const version = await versionOf(file);
    if (version !== seen && version !== undefined) {
      try {
        current = await readFederation(file, founder);
        options.onChange(current);
      } catch (error) {
        if (!(error instanceof IntercloudError)) throw error;
        options.onBadFile(error);
      }
    }
    seen = version;
    if (!stopped) cancel = clock.after(INTERVAL_MS, () => void look());
  }

  await look();
  return {
    current: () => current,
    stop() {
      stopped = true;
      cancel();
    },
  };
}

/** Changes with every replacement of the file; undefined when it is not there. */
async function versionOf(file: string): Promise<string | undefined> {
  try {
    const { mtimeMs, ino, size } = await stat(file);
    return `${mtimeMs} ${ino} ${size}`;
  } catch {
    return undefined;
  }
}
