/** Five real nodes, a dealer and a user: deposits outlive nodes that die, come back and move. */
import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePorts } from "../../../testnet/ports.ts";
import { bytesOf } from "../../support/bytes.ts";
import { eventually } from "./eventually.ts";
import { type Network, startNetwork, type TestUser } from "./network.ts";

let network: Network;
let user: TestUser;

beforeAll(async () => {
  network = await startNetwork(5);
  user = await network.user();
});
afterAll(() => network?.close());

const metricsOf = async (name: string) => await (await fetch(`${network.nodes.get(name)?.adminUrl}/metrics`)).text();
const readyz = async (name: string) => {
  const response = await fetch(`${network.nodes.get(name)?.adminUrl}/readyz`);
  const { causes } = (await response.json()) as { causes: { code: string }[] };
  return { status: response.status, codes: causes.map(({ code }) => code) };
};

test("all become ready and find each other", async () => {
  await eventually("all are ready", async () => {
    const answers = await Promise.all(network.names.map(readyz));
    return answers.every(({ status, codes }) => status === 200 && codes.length === 0);
  });
  await eventually("all are in the DHT of all", async () => {
    const texts = await Promise.all(network.names.map(metricsOf));
    return texts.every(
      (text) => /^intercloud_dht_peers 4$/m.test(text) && /^intercloud_connected_members 5$/m.test(text),
    );
  });
});

test("deposits in both routes come back with two of five dead, in both routes, and with a restarted one", async () => {
  const short = bytesOf(1, 1);
  const long = bytesOf(300_000, 2);
  const chained = await user.deposit(long);
  const fanned = await user.deposit(short, { route: "fanout" });
  expect(Buffer.compare(await user.retrieve(chained, "chain"), long)).toBe(0);

  // Home and another keeper.
  await network.stop("provider-1");
  await network.stop("provider-2");
  expect(Buffer.compare(await user.retrieve(chained, "fanout"), long)).toBe(0);
  expect(await user.retrieve(fanned, "chain")).toEqual(short);

  await network.stop("provider-3");
  await expect(user.retrieve(chained)).rejects.toMatchObject({
    code: "NOT_ENOUGH_PROVIDERS",
    details: { answered: 2, needed: 3 },
  });
  await network.start("provider-1");
  expect(Buffer.compare(await user.retrieve(chained, "chain"), long)).toBe(0);
  await network.start("provider-2");
  await network.start("provider-3");
});

test("a node that comes back on another port is found by the other nodes", async () => {
  const bytes = bytesOf(100_000, 3);
  await network.stop("provider-2");
  const [port] = await freePorts(1);
  const address = `/ip4/127.0.0.1/tcp/${port}`;
  const moved = await network.start("provider-2", { flags: { listen: [address] } });
  // This one starts with the old federation file.
  await network.stop("provider-3");
  await network.start("provider-3");
  await eventually("it is connected to all", async () => {
    const text = await metricsOf("provider-3");
    return /^intercloud_connected_members 5$/m.test(text);
  });
  // In the chain the nodes pass the message on to each other; only the user was told the new address.
  const informed = await network.user(new Map([[moved.peer, [address]]]));
  const token = await informed.deposit(bytes);
  expect(Buffer.compare(await informed.retrieve(token, "chain"), bytes)).toBe(0);
  const descriptor = await readFile(path.join(network.folder("provider-2"), "descriptor.json"), "utf8");
  expect(descriptor).toContain(`/tcp/${port}`);
});

test("what happened is counted, and nothing a stranger could use is logged", async () => {
  const text = await metricsOf("provider-1");
  expect(text).toMatch(/^intercloud_deposits_total\{event="sealed"\} [1-9]/m);
  expect(text).toMatch(
    /^intercloud_answers_total\{protocol="\/intercloud\/custody\/1\.0\.0",method="ready",status="ok"\} /m,
  );
  expect(text).toMatch(/^intercloud_store_commit_seconds_count [1-9]/m);
  expect(text).toMatch(/^intercloud_disk_free_bytes [1-9]/m);
  expect(text).toMatch(/^intercloud_build_info\{version="[^"]+",node="[^"]+"\} 1$/m);
  const lines = network.logLines.map((line) => JSON.parse(line) as { level: string; event: string });
  expect(new Set(lines.map(({ level }) => level))).toEqual(new Set(["info"]));
  expect([...new Set(lines.map(({ event }) => event))].sort()).toEqual(
    ["admin-listening", "node-started", "store-opened"].sort(),
  );
});

test("a node's folder is for its owner only", async () => {
  const folder = network.folder("provider-1");
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
  expect((await stat(path.join(folder, "key.json"))).mode & 0o777).toBe(0o600);
  expect((await readdir(folder)).sort()).toEqual(
    ["config.json", "descriptor.json", "federation.json", "key.json", "store"].sort(),
  );
});
