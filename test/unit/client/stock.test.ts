/** Deals on a user's disk: each is taken once, by one, and what is wrong with a file is said and costs that deal only. */
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { beforeEach, expect, test } from "vitest";
import { fileStock } from "../../../client/stock.ts";
import type { FreshDeal } from "../../../protocols/dealing/client.ts";
import { STOCK_MARGIN_MS } from "../../../protocols/dealing/stock.ts";
import { createManualClock, type ManualClock } from "../../support/manual-clock.ts";
import { dealByHand, LIFETIME_MS, newParty, START_MS } from "../dealing/dealt.ts";
import { filesBelow, testFolder } from "./folder.ts";

const folder = await testFolder();
const entropy = (lengthBytes: number) => new Uint8Array(randomBytes(lengthBytes));
const dealer = newParty();
const providers = [newParty(), newParty(), newParty()];
const identitySeed = entropy(32);

let number = 0;
let directory: string;
let clock: ManualClock;
let damaged: string[];
beforeEach(() => {
  number += 1;
  directory = path.join(folder, String(number), "stock");
  clock = createManualClock(START_MS);
  damaged = [];
});

const open = (seed = identitySeed) =>
  fileStock({
    ...{ directory, identitySeed: seed, size: 3, clock, entropy },
    onDamaged: (file, error) => {
      expect(error).toBeInstanceOf(Error);
      damaged.push(path.basename(file));
    },
  });

function newDeal(expiresAtMs = START_MS + LIFETIME_MS): FreshDeal {
  const { signed, manifest, seeds } = dealByHand(dealer, providers, 96, { expiresAtMs });
  return { manifestBytes: signed, manifest, userSeed: seeds[providers.length] as Uint8Array };
}

async function kept(...deals: FreshDeal[]) {
  await mkdir(path.dirname(directory), { recursive: true });
  const stock = open();
  for (const deal of deals) await stock.keep(deal);
  return stock;
}

const names = () => readdir(directory).catch(() => []);
const idsOf = (deals: readonly { readonly manifest: FreshDeal["manifest"] }[]) =>
  deals.map(({ manifest }) => Buffer.from(manifest.dealId).toString("hex"));

test("there is nothing in a home that is new", async () => {
  expect(await open().deals()).toEqual([]);
  expect(damaged).toEqual([]);
});

test("a deal comes out as it was kept, once, and is off the disk before anybody has it", async () => {
  const deal = newDeal();
  await kept(deal);
  const [found] = await open().deals();
  expect(found?.manifest).toEqual(deal.manifest);
  expect(await found?.take()).toEqual(deal);
  expect(await names()).toEqual([]);
  expect(await found?.take()).toBeUndefined();
  expect(damaged).toEqual([]);
});

test("nobody but the user may read the files, and their seeds are sealed to the identity", async () => {
  const deal = newDeal();
  await kept(deal);
  expect((await stat(directory)).mode & 0o777).toBe(0o700);
  for (const [name, bytes] of await filesBelow(directory)) {
    expect((await stat(path.join(directory, name))).mode & 0o777).toBe(0o600);
    expect(bytes.includes(deal.userSeed)).toBe(false);
  }
  expect(await open(entropy(32)).deals()).toEqual([]);
  expect(damaged).toHaveLength(1);
  expect(await names()).toEqual([]);
});

test("of many that take at once each deal goes to exactly one", async () => {
  const deals = [newDeal(), newDeal(), newDeal()];
  await kept(...deals);
  const seen = await Promise.all(Array.from({ length: 4 }, () => open().deals()));
  const taken = await Promise.all(seen.flat().map((each) => each.take()));
  const won = taken.filter((each) => each !== undefined);
  expect(idsOf(won).sort()).toEqual(idsOf(deals).sort());
  expect(damaged).toEqual([]);
});

test("the one that expires first is the first; what has expired, or soon will, is dropped", async () => {
  const [late, early] = [newDeal(START_MS + 2 * LIFETIME_MS), newDeal(START_MS + LIFETIME_MS)];
  const stock = await kept(late, early);
  expect(idsOf(await stock.deals())).toEqual(idsOf([early, late]));
  await clock.advance(LIFETIME_MS - STOCK_MARGIN_MS - 1);
  expect(await stock.deals()).toHaveLength(2);
  await clock.advance(1);
  expect(idsOf(await stock.deals())).toEqual(idsOf([late]));
  expect(await names()).toHaveLength(1);
  expect(damaged).toEqual([]);
});

test.each([
  ["empty", async (file: string) => await writeFile(file, "")],
  ["cut short", async (file: string) => await writeFile(file, (await readFile(file)).subarray(0, -1))],
  [
    "changed in one bit",
    async (file: string) =>
      await writeFile(
        file,
        (await readFile(file)).map((b, i) => b ^ +(i === 99)),
      ),
  ],
  ["of another deal", async (file: string) => await copyFile(path.join(directory, "..", "other.deal"), file)],
])("a file that is %s is said and dropped, and the others stay good", async (_, damage) => {
  const other = newDeal();
  await kept(other);
  const [otherName] = await names();
  await copyFile(path.join(directory, otherName as string), path.join(directory, "..", "other.deal"));
  await rm(path.join(directory, otherName as string));
  const [good, bad] = [newDeal(), newDeal()];
  const stock = await kept(good, bad);
  const badName = `${idsOf([bad])[0]}.deal`;
  await damage(path.join(directory, badName));
  expect(idsOf(await stock.deals())).toEqual(idsOf([good]));
  expect(damaged).toEqual([badName]);
  expect(await names()).toEqual([`${idsOf([good])[0]}.deal`]);
});

test("a file that is damaged after it was seen is not taken", async () => {
  const stock = await kept(newDeal());
  const [found] = await stock.deals();
  const [name] = await names();
  await writeFile(path.join(directory, name as string), "nothing");
  expect(await found?.take()).toBeUndefined();
  expect(damaged).toEqual([name]);
});

test("what cannot be a deal's file is said and does no harm: a folder in its place, a file in place of the folder", async () => {
  const stock = await kept(newDeal());
  await mkdir(path.join(directory, "00.deal"));
  expect(await stock.deals()).toHaveLength(1);
  expect(damaged).toEqual(["00.deal"]);
  await rm(directory, { recursive: true });
  await writeFile(directory, "");
  expect(await stock.deals()).toEqual([]);
  expect(damaged).toEqual(["00.deal", "stock"]);
});
