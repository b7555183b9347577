/** What a node says and does when it cannot start, and how it becomes ready when it can. */
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, expect, test } from "vitest";
import { initNode } from "../../../node/init.ts";
import { type RunNodeOptions, startNode } from "../../../node/run.ts";
import { newSigner } from "../../../protocols/crypto/signing.ts";
import { destroy } from "../../../protocols/custody/client/destroy.ts";
import { findProof } from "../../../protocols/custody/client/find-proof.ts";
import { signedRequest } from "../../../protocols/custody/client/user.ts";
import { CUSTODY_PROTOCOL } from "../../../protocols/custody/constants.ts";
import { type SignedFederation, signFederation } from "../../../protocols/identity/federation.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import { systemEntropy } from "../../../runtime/entropy.ts";
import { exitCodeOf } from "../../../runtime/exit-codes.ts";
import { writeFederation } from "../../../runtime/federation.ts";
import { freePorts } from "../../../testnet/ports.ts";
import { bytesOf } from "../../support/bytes.ts";
import { eventually } from "./eventually.ts";
import { logTo, makeNetwork, type Network, startNetwork } from "./network.ts";

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "intercloud-"));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

interface Single {
  readonly folder: string;
  readonly federation: SignedFederation;
  start(options?: Partial<RunNodeOptions>): ReturnType<typeof startNode>;
}

/** A node in a federation of its own. */
async function makeSingle(passphrase?: string): Promise<Single> {
  const folder = path.join(await temporaryFolder(), "node");
  const [port] = await freePorts(1);
  const listen = [`/ip4/127.0.0.1/tcp/${port}`];
  const { descriptor } = await initNode({ directory: folder, name: "single", listen, passphrase });
  const federation = signFederation({ name: "single", providers: [descriptor], dealers: [] }, newSigner(systemEntropy));
  await writeFederation(path.join(folder, "federation.json"), federation);
  return {
    folder,
    federation,
    async start(options = {}) {
      const node = await startNode({ directory: folder, log: logTo([]), ...options });
      cleanups.push(() => node.stop());
      return node;
    },
  };
}

async function makeNet(make: (count: number) => Promise<Network>, count: number): Promise<Network> {
  const network = await make(count);
  cleanups.push(() => network.close());
  return network;
}

const failureOf = async (starting: Promise<unknown>) => {
  const error = (await starting.then(
    () => new Error("it started"),
    (reason: unknown) => reason,
  )) as Error & { code?: string };
  return { code: error.code, exitCode: exitCodeOf(error), message: error.message };
};

async function readyz(adminUrl: string): Promise<{ status: number; codes: string[] }> {
  const response = await fetch(`${adminUrl}/readyz`);
  const { causes } = (await response.json()) as { causes: { code: string }[] };
  return { status: response.status, codes: causes.map(({ code }) => code) };
}

test("a node alone in its federation starts, is ready, stops, and starts again", async () => {
  const single = await makeSingle();
  for (let round = 0; round < 2; round++) {
    const node = await single.start();
    expect(await readyz(node.adminUrl)).toEqual({ status: 200, codes: [] });
    await node.stop();
    await expect(fetch(node.adminUrl)).rejects.toThrow();
  }
});

test("without a federation file it says what to do", async () => {
  const single = await makeSingle();
  await rm(path.join(single.folder, "federation.json"));
  const failure = await failureOf(single.start());
  expect(failure).toMatchObject({ code: "NO_FEDERATION", exitCode: 2 });
  expect(failure.message).toContain("descriptor.json");
});

test("a federation without this node, changed, or signed by another founder is refused", async () => {
  const single = await makeSingle();
  const other = await makeSingle();
  const file = path.join(single.folder, "federation.json");
  await copyFile(path.join(other.folder, "federation.json"), file);
  expect(await failureOf(single.start())).toMatchObject({ code: "NOT_IN_FEDERATION", exitCode: 2 });
  await writeFederation(file, single.federation);
  const founder = "00".repeat(32);
  expect(await failureOf(single.start({ flags: { founder } }))).toMatchObject({
    code: "FEDERATION_BAD_SIGNATURE",
    exitCode: 5,
  });
  const text = await readFile(file, "utf8");
  await writeFile(file, text.replace('"name": "single"', '"name": "doubles"'));
  expect(await failureOf(single.start())).toMatchObject({ code: "FEDERATION_BAD_SIGNATURE", exitCode: 5 });
});

test("a typo in file, environment or flag is an error that names it", async () => {
  const single = await makeSingle();
  const environment = await failureOf(single.start({ env: { INTERCLOUD_ADMIN_PROT: "1" } }));
  expect(environment).toMatchObject({ code: "CONFIG_UNKNOWN_KEY", exitCode: 2 });
  expect(environment.message).toContain("INTERCLOUD_ADMIN_PORT");
  const flag = await failureOf(single.start({ flags: { "max-owner-bytes": "lots" } }));
  expect(flag).toMatchObject({ code: "CONFIG_BAD_VALUE", exitCode: 2 });
  expect(flag.message).toContain("--max-owner-bytes");
  const file = path.join(single.folder, "config.json");
  const config = JSON.parse(await readFile(file, "utf8")) as object;
  await writeFile(file, JSON.stringify({ ...config, maxOwnerByte: 5 }));
  const typo = await failureOf(single.start());
  expect(typo).toMatchObject({ code: "CONFIG_UNKNOWN_KEY", exitCode: 2 });
  expect(typo.message).toContain("maxOwnerBytes");
});

test("init never replaces a key, and refuses addresses that nobody can dial", async () => {
  const single = await makeSingle();
  const again = initNode({ directory: single.folder, name: "other", listen: ["/ip4/127.0.0.1/tcp/4001"] });
  expect(await failureOf(again)).toMatchObject({ code: "KEY_FILE_EXISTS" });
  await single.start();
  const directory = path.join(await temporaryFolder(), "node");
  for (const [listen, code] of [
    ["/ip4/0.0.0.0/tcp/4001", "NO_ADDRESS"],
    ["/ip4/127.0.0.1/tcp/0", "NO_ADDRESS"],
    ["127.0.0.1:4001", "BAD_ADDRESS"],
  ]) {
    expect(await failureOf(initNode({ directory, name: "n", listen: [listen!] }))).toMatchObject({ code, exitCode: 2 });
  }
  const listen = ["/ip4/127.0.0.1/tcp/4001"];
  const badName = await failureOf(initNode({ directory, name: "Acme EU", listen }));
  expect(badName).toMatchObject({ code: "BAD_NAME", exitCode: 2 });
  expect(badName.message).toContain("a-z, 0-9 and -");
  const announce = ["/dns4/node.example.org/tcp/4001"];
  const { descriptor } = await initNode({ directory, name: "n", listen: ["/ip4/0.0.0.0/tcp/4001"], announce });
  expect(descriptor.addresses).toEqual(announce);
});

test("a sealed key file needs its passphrase", async () => {
  const single = await makeSingle("correct horse");
  const passphraseFile = path.join(single.folder, "passphrase");
  expect(await failureOf(single.start())).toMatchObject({ code: "PASSPHRASE_NEEDED", exitCode: 3 });
  await writeFile(passphraseFile, "battery staple\n");
  expect(await failureOf(single.start({ passphraseFile }))).toMatchObject({ code: "WRONG_PASSPHRASE", exitCode: 3 });
  await writeFile(passphraseFile, "correct horse\n");
  const node = await single.start({ passphraseFile });
  expect(await readyz(node.adminUrl)).toEqual({ status: 200, codes: [] });
});

test("a damaged store is not served from, and the error says what to do", async () => {
  const network = await makeNet(startNetwork, 3);
  const user = await network.user();
  await user.deposit(bytesOf(10_000, 1), { threshold: 2 });
  await network.stop("provider-1");
  const records = path.join(network.folder("provider-1"), "store", "records");
  const log = (await readdir(records)).find((name) => name.endsWith(".log"));
  const file = path.join(records, log!);
  const bytes = await readFile(file);
  bytes[Math.floor(bytes.length / 2)]! ^= 0x01;
  await writeFile(file, bytes);
  for (let round = 0; round < 2; round++) {
    // The second time it would fail differently if the first had left something open.
    const failure = await failureOf(network.start("provider-1"));
    expect(failure).toMatchObject({ code: "STORE_DAMAGED", exitCode: 5 });
    expect(failure.message).toContain("node restore --discard-store");
  }
  // The way out that the error names: the other two still hand out the deposit, and this one is of use again.
  await rm(path.join(network.folder("provider-1"), "store"), { recursive: true });
  await network.start("provider-1");
  const token = await user.deposit(bytesOf(10_000, 2), { threshold: 2 });
  expect(await user.retrieve(token)).toEqual(bytesOf(10_000, 2));
});

test("two nodes cannot share a store, and a busy admin port is named", async () => {
  const single = await makeSingle();
  const node = await single.start();
  const [port] = await freePorts(1);
  const elsewhere = { listen: [`/ip4/127.0.0.1/tcp/${port}`] };
  expect(await failureOf(single.start({ flags: elsewhere }))).toMatchObject({ code: "STORE_LOCKED", exitCode: 1 });
  const adminPort = new URL(node.adminUrl).port;
  const flags = { ...elsewhere, "admin-port": adminPort };
  expect(await failureOf(single.start({ flags }))).toMatchObject({ code: "ADMIN_PORT_IN_USE" });
});

test("it is not ready while the disk is too full, or before it has met anybody", async () => {
  const single = await makeSingle();
  const full = await single.start({ flags: { minFreeBytes: 2 ** 52 } });
  expect(await readyz(full.adminUrl)).toEqual({ status: 503, codes: ["DISK_LOW"] });

  const network = await makeNet(makeNetwork, 2);
  await network.stopDealer();
  const lonely = await network.start("provider-1");
  expect(await readyz(lonely.adminUrl)).toEqual({ status: 503, codes: ["NO_PEERS"] });
  await network.start("provider-2");
  await eventually("they have met", async () => {
    return /^intercloud_connected_members 1$/m.test(await (await fetch(`${lonely.adminUrl}/metrics`)).text());
  });
  expect(await readyz(lonely.adminUrl)).toEqual({ status: 200, codes: [] });
});

test("a disk that is too full takes no deposit", async () => {
  const network = await makeNet(makeNetwork, 3);
  for (const name of network.names) {
    await network.start(name, { flags: name === "provider-2" ? { minFreeBytes: 2 ** 52 } : {} });
  }
  const user = await network.user();
  await expect(user.deposit(bytesOf(1_000, 1), { threshold: 2 })).rejects.toMatchObject({
    code: "NOT_ENOUGH_PROVIDERS",
    details: { answered: 2, needed: 3 },
  });
});

test("an owner's quota holds, and what is given up is purged from the store's files", async () => {
  const network = await makeNet(makeNetwork, 3);
  const flags = { maxOwnerBytes: 150_000, sweepIntervalMs: 1_000, purgeIntervalMs: 1_000 };
  for (const name of network.names) await network.start(name, { flags });
  const user = await network.user();
  const options = { threshold: 2, copies: 3 };
  const token = await user.deposit(bytesOf(60_000, 1), options);
  await expect(user.deposit(bytesOf(100_000, 2), options)).rejects.toMatchObject({ status: "full" });

  const { tokenId } = parseTokenText(token);
  const { dealId } = (await findProof(user.user, parseTokenText(token), AbortSignal.timeout(10_000))).proof.terms.token;
  const keepers = network.names.map((name) => network.nodes.get(name)!);
  const ask = (peer: string, method: string, body: { readonly [key: string]: Uint8Array }) =>
    user.user.transport.ask(peer, CUSTODY_PROTOCOL, method, body, { timeoutMs: 10_000 });
  await eventually("the DHT knows all keepers", async () => {
    const { providers } = (await ask(keepers[0]!.peer, "locate", { tokenId })) as { providers: string[] };
    return providers.length === 3;
  });
  const purges = async (adminUrl: string | undefined) => {
    const text = await (await fetch(`${adminUrl}/metrics`)).text();
    return Number(/^intercloud_store_purges_total (\d+)/m.exec(text)?.[1]);
  };
  /** Rewritten after `burn`, and not only because the node has just started. */
  const expectPurged = async (event: string, burn: () => Promise<unknown>) => {
    for (const { adminUrl } of keepers) await eventually("no purge is due", async () => (await purges(adminUrl)) > 0);
    const before = await Promise.all(keepers.map(({ adminUrl }) => purges(adminUrl)));
    await burn();
    for (const [i, { adminUrl }] of keepers.entries()) {
      await eventually("the store is purged", async () => (await purges(adminUrl)) > (before[i] ?? 0));
      const text = await (await fetch(`${adminUrl}/metrics`)).text();
      expect(text).toMatch(new RegExp(`deposits_total\\{event="${event}"\\} [1-9]`));
    }
    expect(await readdir(path.join(network.folder("provider-1"), "store", "bodies"))).toEqual([]);
  };
  await expectPurged("burnt", async () => {
    const request = signedRequest(user.user, "destroy", { tokenId, dealId });
    for (const { peer } of keepers) await ask(peer, "abandon", { request });
  });
  const another = parseTokenText(await user.deposit(bytesOf(60_000, 3), options));
  await expectPurged("destroyed", async () => {
    expect((await destroy(user.user, another, AbortSignal.timeout(10_000))).destroyed).toHaveLength(3);
  });
});

test("a peer past its quota of requests is told to come back", async () => {
  const network = await makeNet(makeNetwork, 1);
  const node = await network.start("provider-1", { flags: { requestsPerSecond: 1, requestBurst: 20 } });
  const user = await network.user();
  const asks = Array.from({ length: 60 }, () =>
    user.user.transport.ask(node.peer, CUSTODY_PROTOCOL, "hello", {}, { timeoutMs: 5_000 }),
  );
  const outcomes = await Promise.allSettled(asks);
  const refused = outcomes.filter((outcome) => outcome.status === "rejected").map(({ reason }) => reason);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThan(60);
  for (const reason of refused) expect(reason).toMatchObject({ code: "REMOTE_BUSY", status: "busy" });
});

test("a message longer than the limit is refused", async () => {
  const network = await makeNet(makeNetwork, 2);
  for (const name of network.names) await network.start(name, { flags: { maxMessageBytes: 1_000 } });
  const user = await network.user();
  const options = { threshold: 2, copies: 2 };
  await expect(user.deposit(bytesOf(1_001, 1), options)).rejects.toMatchObject({ status: "full" });
  const token = await user.deposit(bytesOf(1_000, 1), options);
  expect(await user.retrieve(token)).toEqual(bytesOf(1_000, 1));
});
