/** Makes a testnet: keys, ports, a directory for each peer, a federation of all of them, and a home for the user. */
import { readdir, rm } from "node:fs/promises";
import path from "node:path";
import { createHome } from "../client/home.ts";
import { initNode } from "../node/init.ts";
import { newSigner } from "../protocols/crypto/signing.ts";
import { signFederation } from "../protocols/identity/federation.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { initDealer } from "../rng-dealer/init.ts";
import { systemEntropy } from "../runtime/entropy.ts";
import { writeFederation } from "../runtime/federation.ts";
import { LOCK_FILE } from "./lock.ts";
import { clientHome, type PlannedPeer, type Testnet, writePlan } from "./plan.ts";
import { freePorts } from "./ports.ts";

export interface TestnetShape {
  readonly providers: number;
  readonly threshold: number;
  readonly dealers: number;
}

const FEDERATION_FILE = "federation.json";

/**
 * Starts nothing. The plan is written last, so that a testnet which was only half made is never taken for one.
 * @throws IntercloudError DIRECTORY_NOT_EMPTY
 */
export async function createTestnet(directory: string, shape: TestnetShape): Promise<Testnet> {
  await refuseOtherFiles(directory);
  try {
    return await make(directory, shape);
  } catch (error) {
    for (const name of await readdir(directory)) {
      if (name !== LOCK_FILE) await rm(path.join(directory, name), { recursive: true, force: true });
    }
    throw error;
  }
}

async function make(directory: string, { providers, threshold, dealers }: TestnetShape): Promise<Testnet> {
  const ports = [...(await freePorts(2 * (providers + dealers)))];
  const take = () => ports.pop() as number; // exactly as many as are taken were found
  const init = async (kind: PlannedPeer["kind"], index: number) => {
    const name = `${kind}-${index + 1}`;
    const adminPort = take();
    const listen = [`/ip4/127.0.0.1/tcp/${take()}`];
    const initPeer = kind === "dealer" ? initDealer : initNode;
    const { descriptor } = await initPeer({ directory: path.join(directory, name), name, listen, adminPort });
    return { descriptor, adminPort };
  };
  const providerPeers = await Promise.all(Array.from({ length: providers }, (_, index) => init("provider", index)));
  const dealerPeers = await Promise.all(Array.from({ length: dealers }, (_, index) => init("dealer", index)));

  // The members of a testnet never change, so the key that signs them is not kept.
  const founder = newSigner(systemEntropy);
  const descriptors = (made: typeof providerPeers) => made.map(({ descriptor }) => descriptor);
  const members = { providers: descriptors(providerPeers), dealers: descriptors(dealerPeers) };
  const federation = signFederation({ name: "testnet", ...members }, founder);
  await writeFederation(path.join(directory, FEDERATION_FILE), federation);

  const peers = [...providerPeers, ...dealerPeers].map(({ descriptor, adminPort }) => {
    const { name, kind, peer, addresses, duties } = descriptor;
    return { name, kind, peer, addresses: [...addresses], duties: [...duties], adminPort };
  });
  for (const { name } of peers) await writeFederation(path.join(directory, name, FEDERATION_FILE), federation);
  await createHome({ directory: clientHome(directory), federation, settings: { threshold }, entropy: systemEntropy });

  const testnet: Testnet = { directory, plan: { format: 1, threshold, peers } };
  await writePlan(testnet);
  return testnet;
}

async function refuseOtherFiles(directory: string): Promise<void> {
  const found = (await readdir(directory)).filter((name) => name !== LOCK_FILE);
  if (found.length === 0) return;
  throw new IntercloudError(
    "DIRECTORY_NOT_EMPTY",
    "conflict",
    `${directory} holds other files (${found[0]}) and no testnet; name a new directory, or empty this one`,
  );
}
