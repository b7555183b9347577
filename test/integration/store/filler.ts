/**
 * A process that runs into the end of its room, for `full-disk.test.ts`, which starts it with a limit on the size of files.
 *   node filler.ts FOLDER
 * Prints one JSON line: what happened. Any surprise ends it with an error.
 */
import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { openStore } from "../../../node/store/index.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import { AUDIT } from "../../support/audit-log.ts";
import { STORE_KEY, valueFor } from "./written.ts";

const VALUE_BYTES = 100 * 1024;
const [directory = ""] = process.argv.slice(2);
const store = await openStore({ directory, key: STORE_KEY, audit: AUDIT, reserveBytes: 0 });

async function failureOf(promise: Promise<void>): Promise<string> {
  try {
    await promise;
    return "none";
  } catch (error) {
    return error instanceof IntercloudError ? `${error.code} ${error.status}` : String(error);
  }
}

/** Commits 100 KiB at a time until one fails; returns how many did not. */
async function fillUp(name: string): Promise<{ stored: number; failure: string }> {
  for (let number = 0; number < 1000; number++) {
    const value = Buffer.alloc(VALUE_BYTES, valueFor(number));
    const failure = await failureOf(store.commit([{ kind: "put", key: `${name}/${number}`, value }]));
    if (failure !== "none") return { stored: number, failure };
  }
  return { stored: 1000, failure: "none" };
}

async function countOf(name: string): Promise<number> {
  let found = 0;
  for await (const [key, value] of store.entries(`${name}/`)) {
    found += 1;
    const number = Number(key.split("/")[1]);
    if (!Buffer.from(value).equals(Buffer.alloc(VALUE_BYTES, valueFor(number))))
      throw new Error(`${key} has another value`);
  }
  return found;
}

const first = await fillUp("first");
const firstReadable = await countOf("first");
const deleting = await failureOf(store.commit([{ kind: "delete", key: "first/0" }]));
const second = await fillUp("second");
const secondReadable = await countOf("second");
await store.commit([{ kind: "delete", key: "second/0" }]);
async function* endless(): AsyncGenerator<Uint8Array> {
  for (let sent = 0; sent < 64; sent++) yield randomBytes(65_536);
}
const body = await failureOf(store.bodies.write("ab", endless()));
const bodyFiles = await readdir(join(directory, "bodies"));
await store.close();
process.stdout.write(
  `${JSON.stringify({ first, firstReadable, deleting, second, secondReadable, body, bodyFiles })}\n`,
);
