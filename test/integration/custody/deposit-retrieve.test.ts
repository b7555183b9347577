import { afterEach, expect, test } from "vitest";
import { readProof } from "../../../protocols/custody/proof.ts";
import { bytesOf } from "../../support/bytes.ts";
import { createWorld, type World } from "../../support/custody-world.ts";

let world: World;
afterEach(async () => {
  await world.close();
  expect(world.faults).toEqual([]);
});

const LENGTHS = [1, 31, 32, 65_536, 1_048_575, 1_048_576, 1_048_577, 3_000_000];

for (const depositRoute of ["chain", "fanout"] as const) {
  for (const retrieveRoute of ["chain", "fanout"] as const) {
    test(`what is put by ${depositRoute} is what is got by ${retrieveRoute}, at any length`, async () => {
      world = await createWorld({ providers: 5 });
      for (const [i, lengthBytes] of LENGTHS.entries()) {
        const message = bytesOf(lengthBytes, i + 1);
        const { tokenText, proof } = await world.put(message, { route: depositRoute });
        expect(readProof(proof).chain.valid).toBe(true);
        const back = await world.get(tokenText, { route: retrieveRoute });
        expect(Buffer.compare(back, message)).toBe(0);
      }
    });
  }
}

test("any n and t, 2 <= t <= n <= 5, also with n-t providers dead", async () => {
  for (let n = 2; n <= 5; n += 1) {
    for (let t = 2; t <= n; t += 1) {
      world = await createWorld({ providers: n });
      const message = bytesOf(1000, n * 10 + t);
      const { tokenText } = await world.put(message, { threshold: t });
      // with fewer copies than n-t+1 the keepers themselves may be the dead ones, so the last ones die here
      for (let number = t + 1; number <= n; number += 1) world.kill(number);
      expect(await world.get(tokenText)).toEqual(message);
      expect(await world.get(tokenText, { route: "chain" })).toEqual(message);
      await world.close();
    }
  }
});

test("home may die: a copy serves", async () => {
  world = await createWorld({ providers: 5 });
  const message = bytesOf(200_000, 7);
  const { tokenText } = await world.put(message);
  world.kill(1, 4);
  expect(await world.get(tokenText)).toEqual(message);
  expect(await world.get(tokenText, { route: "chain" })).toEqual(message);
});

test("fewer than t: an error that says how many answered and how many are needed", async () => {
  world = await createWorld({ providers: 5 });
  const { tokenText } = await world.put(bytesOf(1000, 8));
  world.kill(1, 4, 5);
  await expect(world.get(tokenText)).rejects.toMatchObject({
    code: "NOT_ENOUGH_PROVIDERS",
    details: { answered: 2, needed: 3 },
  });
  world.revive(1);
  expect(await world.get(tokenText)).toEqual(bytesOf(1000, 8));
});

test("protocol 2 needs the user's share, and t-1 providers", async () => {
  world = await createWorld({ providers: 5 });
  const message = bytesOf(150_000, 9);
  const { tokenText, userShare } = await world.put(message, { protocol: 2 });
  world.kill(3, 4, 5);
  await expect(world.get(tokenText)).rejects.toMatchObject({ code: "NO_USER_SHARE" });
  expect(await world.get(tokenText, { userShare: async () => userShare!.slice() })).toEqual(message);
  const wrongShare = userShare!.map((byte) => byte ^ 1);
  await expect(world.get(tokenText, { userShare: async () => wrongShare })).rejects.toMatchObject({
    code: "WRONG_BYTES",
  });
});
