/** A node that is killed loses nothing that it has acknowledged, and keeps no half of anything. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openStore } from "../../../node/store/index.ts";
import { AUDIT, eventsIn } from "../../support/audit-log.ts";
import { bodyName, bodyOf, STORE_KEY, valueFor } from "./written.ts";

const WRITER = join(import.meta.dirname, "writer.ts");
const ROUNDS = 6;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "intercloud-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** Runs the writer until it has acknowledged `lines` things, kills it, and returns all that it said. */
async function writeAndKill(round: number, lines: number): Promise<string[]> {
  const writer = spawn(process.execPath, [WRITER, directory, String(round)], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let errors = "";
  writer.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  writer.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    if (output.split("\n").length > lines) writer.kill("SIGKILL");
  });
  const [, signal] = await once(writer, "close");
  expect(errors).toBe("");
  expect(signal).toBe("SIGKILL");
  // The last line may be cut off: it counts as not acknowledged.
  return output.split("\n").slice(0, -1);
}

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test("SIGKILL at any moment", async () => {
  const records = new Set<number>();
  const bodies = new Set<number>();
  for (let round = 1; round <= ROUNDS; round++) {
    // Between a few and some hundred acknowledged commits, so the kill meets batches, anchors, purges and bodies.
    for (const line of await writeAndKill(round, 20 + 61 * round)) {
      const [kind, number] = line.split(" ");
      if (kind === "record") records.add(Number(number));
      if (kind === "body") bodies.add(Number(number));
    }
    const store = await openStore({ directory, key: STORE_KEY, audit: AUDIT });
    for (const number of records) {
      expect(await store.get(`left/${number}`)).toEqual(new Uint8Array(valueFor(number)));
      expect(await store.get(`right/${number}`)).toEqual(new Uint8Array(valueFor(number)));
    }
    for (const number of bodies) {
      expect((await bytesOf(store.bodies.read(bodyName(number), 0))).equals(await bytesOf(bodyOf(number)))).toBe(true);
    }
    // What was not acknowledged may be there, but then as a whole.
    let lefts = 0;
    for await (const [key, value] of store.entries("left/")) {
      lefts += 1;
      expect(await store.get(key.replace("left", "right"))).toEqual(value);
    }
    expect(store.recordCount).toBe(2 * lefts);
    // The log is whole, and has the events of these commits and no others.
    const logged = (await eventsIn(store.log)).map((event) => Buffer.from(event).toString("hex"));
    expect(logged).toHaveLength(lefts);
    const events = new Set(logged);
    for await (const [, value] of store.entries("left/")) {
      expect(events.delete(Buffer.from(value).toString("hex"))).toBe(true);
    }
    for await (const name of store.bodies.names()) {
      expect((await bytesOf(store.bodies.read(name, 0))).equals(await bytesOf(bodyOf(Number.parseInt(name, 16))))).toBe(
        true,
      );
    }
    await store.close();
  }
  expect(records.size).toBeGreaterThan(ROUNDS * 20);
  expect(bodies.size).toBeGreaterThan(0);
});
