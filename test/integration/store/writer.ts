/**
 * A process that stores things until it is killed, and says on stdout what was acknowledged.
 *   node writer.ts FOLDER ROUND
 * Lines: `record N` after a commit of two records that belong together, `body N` after a body.
 */
import { writeSync } from "node:fs";
import { openStore } from "../../../node/store/index.ts";
import { AUDIT } from "../../support/audit-log.ts";
import { bodyName, bodyOf, recordsOf, STORE_KEY } from "./written.ts";

const [directory = "", round = "0"] = process.argv.slice(2);
const store = await openStore({ directory, key: STORE_KEY, audit: AUDIT, reserveBytes: 0 });
const say = (line: string) => writeSync(1, `${line}\n`);

async function writeRecords(lane: number): Promise<void> {
  for (let step = 0; ; step++) {
    const number = Number(round) * 1_000_000 + lane * 100_000 + step;
    await store.commit(recordsOf(number));
    say(`record ${number}`);
  }
}

async function writeBodies(): Promise<void> {
  for (let step = 0; ; step++) {
    const number = Number(round) * 1000 + step;
    await store.bodies.write(bodyName(number), bodyOf(number));
    say(`body ${number}`);
  }
}

async function purgeNowAndThen(): Promise<void> {
  for (;;) {
    await store.purge();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

say("ready");
await Promise.all([writeRecords(0), writeRecords(1), writeRecords(2), writeBodies(), purgeNowAndThen()]);
