/** A dealer from its directory: in this process (`startDealer`), or as a daemon until it is told to stop (`runDealer`). */
import type { PeerName } from "../protocols/wire/transport.ts";
import type { ExitCode } from "../runtime/exit-codes.ts";
import { readKeyFile } from "../runtime/key-file.ts";
import { createLog, type Log } from "../runtime/log.ts";
import { passphraseFrom } from "../runtime/passphrase.ts";
import { runUntilSignal } from "../runtime/run-until-signal.ts";
import { type DealerSettings, loadDealerConfig } from "./config.ts";
import { createDealer, type Dealer, type DealerOptions } from "./dealer.ts";
import { dealerKeys } from "./keys.ts";

export interface RunDealerOptions extends DealerSettings {
  /** Opens the key file; default: what the environment says. */
  readonly passphraseFile?: string | undefined;
  /** Default: standard error, at the configured level. */
  readonly log?: Log;
  readonly alsoServe?: DealerOptions["alsoServe"];
}

export interface RunningDealer {
  readonly peer: PeerName;
  readonly adminUrl: string;
  stop(): Promise<void>;
}

/** @throws what loading configuration and key, and starting, throw: see runtime/config.ts and runtime/key-file.ts. */
export async function startDealer(options: RunDealerOptions): Promise<RunningDealer> {
  const { dealer, log } = await openDealer(options);
  await dealer.lifecycle.start();
  return {
    peer: dealer.peer,
    adminUrl: dealer.adminUrl() ?? "",
    async stop() {
      for (const { step, error } of await dealer.lifecycle.stop()) log.error("step-not-stopped", { step, error });
    },
  };
}

/** Runs until SIGTERM or SIGINT. @returns the exit code. @throws as `startDealer`. */
export async function runDealer(options: RunDealerOptions): Promise<ExitCode> {
  const { dealer, log } = await openDealer(options);
  return await runUntilSignal(dealer.lifecycle, log);
}

async function openDealer(options: RunDealerOptions): Promise<{ dealer: Dealer; log: Log }> {
  const config = await loadDealerConfig(options);
  const log = options.log ?? createLog({ level: config.logLevel }).child({ name: config.name });
  const passphrase = await passphraseFrom({ file: options.passphraseFile, env: options.env ?? {} });
  const seed = await readKeyFile(config.keyFile, passphrase);
  const keys = dealerKeys(seed);
  seed.fill(0);
  return { dealer: createDealer({ config, keys, log, alsoServe: options.alsoServe }), log };
}
