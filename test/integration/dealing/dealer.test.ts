import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newAgreementKey } from "../../../protocols/crypto/key-agreement.ts";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import { newSigner, signerFromSeed } from "../../../protocols/crypto/signing.ts";
import { requestDeal } from "../../../protocols/dealing/client.ts";
import { DEALING_PROTOCOL } from "../../../protocols/dealing/constants.ts";
import { loadHeldDeal } from "../../../protocols/dealing/held-deal.ts";
import { createDealKeeper } from "../../../protocols/dealing/keeper.ts";
import { type SignedDescriptor, signDescriptor } from "../../../protocols/identity/descriptor.ts";
import { signFederation } from "../../../protocols/identity/federation.ts";
import { identityOfKey } from "../../../protocols/identity/identity.ts";
import { openSession } from "../../../protocols/identity/tag.ts";
import { createHost, type Host } from "../../../protocols/wire/libp2p-host.ts";
import { createLibp2pTransport } from "../../../protocols/wire/libp2p-transport.ts";
import type { Transport } from "../../../protocols/wire/transport.ts";
import { initDealer } from "../../../rng-dealer/init.ts";
import { type RunningDealer, startDealer } from "../../../rng-dealer/run.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { readDescriptor } from "../../../runtime/descriptor-file.ts";
import { systemEntropy } from "../../../runtime/entropy.ts";
import { writeFederation } from "../../../runtime/federation.ts";
import { createLog } from "../../../runtime/log.ts";
import { freePorts } from "../../../testnet/ports.ts";
import { createMemoryStore } from "../../support/memory-store.ts";

let directory: string;
let lines: string[];
const toStop: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "intercloud-"));
  lines = [];
});

afterEach(async () => {
  for (const stop of toStop.splice(0).reverse()) await stop();
  await rm(directory, { recursive: true, force: true });
});

const dealerDirectory = () => path.join(directory, "dealer-1");

async function init(passphrase?: string): Promise<SignedDescriptor> {
  const [port] = await freePorts(1);
  const listen = [`/ip4/127.0.0.1/tcp/${port}`];
  return (await initDealer({ directory: dealerDirectory(), name: "dealer-1", listen, passphrase })).descriptor;
}

async function start(env: Readonly<Record<string, string>> = {}): Promise<RunningDealer> {
  const log = createLog({ level: "debug", destination: { write: (line) => void lines.push(line) } });
  const dealer = await startDealer({ directory: dealerDirectory(), env, log });
  toStop.push(() => dealer.stop());
  return dealer;
}

function fetchText(url: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false, signal: AbortSignal.timeout(5_000) }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    }).on("error", reject);
  });
}

async function causes(dealer: RunningDealer): Promise<string[]> {
  const { body } = await fetchText(`${dealer.adminUrl}/readyz`);
  return (JSON.parse(body) as { causes: { code: string }[] }).causes.map(({ code }) => code);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + 20_000;
  while (!(await condition())) {
    if (Date.now() > deadlineMs) throw new Error("it did not happen within 20 s");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function startHost(seed: Uint8Array, listen: readonly string[]): Promise<Host> {
  const host = await createHost({ privateKeySeed: seed, listen });
  toStop.push(async () => await host.stop());
  return host;
}

const transportOn = (host: Host, members: readonly SignedDescriptor[]): Transport => {
  const addressBook = {
    addressesOf: (peer: string) => members.find((member) => member.peer === peer)?.addresses ?? [],
  };
  const transport = createLibp2pTransport(host, { clock: systemClock, addressBook });
  toStop.push(() => transport.close());
  return transport;
};

const provider = async (index: number, dealer: string) => {
  const seed = systemEntropy(32);
  const agreementKey = newAgreementKey(systemEntropy);
  const store = createMemoryStore();
  const host = await startHost(seed, ["/ip4/127.0.0.1/tcp/0"]);
  const transport = transportOn(host, []);
  const isDealer = (peer: string) => peer === dealer;
  const { peer } = transport;
  await transport.serve(
    DEALING_PROTOCOL,
    createDealKeeper({ peer, agreementKey, store, clock: systemClock, keystream: aesKeystream, isDealer }),
  );
  const descriptor = signDescriptor(
    {
      name: `provider-${index}`,
      kind: "provider",
      agreementKey: agreementKey.publicKey,
      addresses: host.getMultiaddrs().map(String),
      duties: [],
      issuedAtMs: systemClock.nowMs(),
    },
    signerFromSeed(seed),
  );
  return { store, descriptor };
};

/** Three providers, and the federation of them and the dealer in the dealer's directory. */
async function federate(dealer: SignedDescriptor) {
  const providers = [await provider(1, dealer.peer), await provider(2, dealer.peer), await provider(3, dealer.peer)];
  const members = { providers: providers.map(({ descriptor }) => descriptor), dealers: [dealer] };
  const federation = signFederation({ name: "test", ...members }, newSigner(systemEntropy));
  await writeFederation(path.join(dealerDirectory(), "federation.json"), federation);
  return providers;
}

/** A user on a host of its own, as a function that asks for a 2-of-n deal. */
async function userOf(dealer: SignedDescriptor, members: readonly SignedDescriptor[]) {
  const transport = transportOn(await startHost(systemEntropy(32), []), [dealer]);
  const identityKey = newSigner(systemEntropy);
  const session = openSession({
    identity: identityOfKey(identityKey.publicKey),
    identityKey,
    purposes: ["deal"],
    nowMs: systemClock.nowMs(),
    lifetimeMs: 600_000,
    entropy: systemEntropy,
  });
  return (lengthBytes: number) =>
    requestDeal({
      transport,
      dealer: dealer.peer,
      session,
      clock: systemClock,
      entropy: systemEntropy,
      threshold: 2,
      providers: members.map(({ peer }) => peer),
      lengthBytes,
    });
}

describe("a dealer", () => {
  it("deals to real peers over sockets, from its directory, and keeps nothing", async () => {
    const descriptor = await init();
    const filesBefore = (await readdir(dealerDirectory())).sort();
    expect(filesBefore).toEqual(["config.json", "descriptor.json", "key.json"]);
    expect((await stat(path.join(dealerDirectory(), "key.json"))).mode & 0o777).toBe(0o600);
    expect(await readDescriptor(path.join(dealerDirectory(), "descriptor.json"))).toEqual(descriptor);

    const dealer = await start();
    expect(dealer.peer).toBe(descriptor.peer);
    expect(await causes(dealer)).toEqual(["NO_FEDERATION"]);
    expect((await fetchText(`${dealer.adminUrl}/healthz`)).status).toBe(200);

    // The federation comes later, without a restart.
    const providers = await federate(descriptor);
    const members = providers.map((each) => each.descriptor);
    await until(async () => (await causes(dealer)).length === 0);

    const request = await userOf(descriptor, members);
    for (const lengthBytes of [100, 5_000_000]) {
      const { manifest } = await request(lengthBytes);
      for (const { store } of providers) expect((await loadHeldDeal(store, manifest.dealId))?.state).toBe("dealt");
    }

    const { body } = await fetchText(`${dealer.adminUrl}/metrics`);
    expect(body).toContain('intercloud_dealer_deals_total{result="ok"} 2');
    expect(body).toContain("intercloud_dealer_dealt_bytes_total 5000100");
    expect(body).toMatch(/intercloud_dealer_drawn_bytes_total [1-9]/);
    expect(body).toContain("intercloud_dealer_deal_seconds_count 2");
    expect((await readdir(dealerDirectory())).sort()).toEqual([...filesBefore, "federation.json"].sort());
    const key = JSON.parse(await readFile(path.join(dealerDirectory(), "key.json"), "utf8")) as {
      content: { seed: string };
    };
    expect(lines.join("")).not.toContain(key.content.seed);

    await dealer.stop();
    await expect(fetchText(`${dealer.adminUrl}/healthz`)).rejects.toThrow();
    await expect(request(10)).rejects.toMatchObject({ status: "unreachable" });
  });

  it("stops in order while it deals", async () => {
    const descriptor = await init();
    const providers = await federate(descriptor);
    const dealer = await start();
    let begun = () => {};
    const dealing = new Promise<void>((resolve) => {
      begun = resolve;
    });
    for (const { store } of providers) {
      store.onChunk = async () => {
        begun();
        await new Promise((resolve) => setTimeout(resolve, 20));
      };
    }
    const request = await userOf(
      descriptor,
      providers.map((each) => each.descriptor),
    );
    const asked = expect(request(200_000_000)).rejects.toMatchObject({ name: expect.stringMatching(/Error/) });
    await dealing;
    await dealer.stop();
    await asked;
    expect(lines.filter((line) => line.includes('"error"') || line.includes("step-not-stopped"))).toEqual([]);
  });

  it("needs the passphrase of its key file", async () => {
    await init("correct horse");
    await expect(start()).rejects.toMatchObject({ code: "PASSPHRASE_NEEDED" });
    await expect(start({ INTERCLOUD_PASSPHRASE: "wrong" })).rejects.toMatchObject({ code: "WRONG_PASSPHRASE" });
    await start({ INTERCLOUD_PASSPHRASE: "correct horse" });
  });

  it("is never made over another one", async () => {
    await init();
    await expect(init()).rejects.toMatchObject({ code: "KEY_FILE_EXISTS" });
    const initWith = (name: string, address: string) =>
      initDealer({ directory: path.join(directory, "other"), name, listen: [address] });
    const address = "/ip4/127.0.0.1/tcp/4001";
    await expect(initWith("Dealer 1", address)).rejects.toMatchObject({ code: "BAD_NAME", status: "bad-request" });
    await expect(initWith("dealer-2", "127.0.0.1:4001")).rejects.toMatchObject({ code: "BAD_ADDRESS" });
    await expect(initWith("dealer-2", "/ip4/0.0.0.0/tcp/1")).rejects.toMatchObject({ code: "NO_ADDRESS" });
  });

  it("refuses a setting that it does not know", async () => {
    await init();
    await expect(start({ INTERCLOUD_MAX_DEAL: "3" })).rejects.toMatchObject({ code: "CONFIG_UNKNOWN_KEY" });
    await expect(start({ INTERCLOUD_MAX_DEALS: "none" })).rejects.toMatchObject({ code: "CONFIG_BAD_VALUE" });
  });

  it("keeps the federation that it has when the file becomes bad", async () => {
    const descriptor = await init();
    const file = path.join(dealerDirectory(), "federation.json");
    const founder = newSigner(systemEntropy);
    await writeFederation(file, signFederation({ name: "test", providers: [], dealers: [descriptor] }, founder));
    const dealer = await start();
    expect(await causes(dealer)).toEqual([]);
    await writeFile(file, "{}");
    await until(async () => lines.some((line) => line.includes("federation-not-valid")));
    expect(await causes(dealer)).toEqual([]);
  });

  it("does not take a federation that another founder signed", async () => {
    const descriptor = await init();
    const file = path.join(dealerDirectory(), "federation.json");
    const [founder, other] = [newSigner(systemEntropy), newSigner(systemEntropy)];
    await writeFederation(file, signFederation({ name: "test", providers: [], dealers: [descriptor] }, other));
    const dealer = await start({ INTERCLOUD_FOUNDER: Buffer.from(founder.publicKey).toString("hex") });
    expect(await causes(dealer)).toEqual(["NO_FEDERATION"]);
  });
});
