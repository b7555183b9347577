import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadNodeConfig } from "../../../node/config.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "intercloud-"));
  const config = { name: "n", listen: ["/ip4/127.0.0.1/tcp/4001"], maxOwnerBytes: 5, logLevel: "warn" };
  await writeFile(path.join(directory, "config.json"), JSON.stringify(config));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

test("flags win over the environment, which wins over the file, which wins over the defaults", async () => {
  const env = { INTERCLOUD_LOG_LEVEL: "error", INTERCLOUD_CHANNELS_PER_PEER: "3" };
  const config = await loadNodeConfig({ directory, env, flags: { "channels-per-peer": "4" } });
  expect(config).toMatchObject({ channelsPerPeer: 4, logLevel: "error", maxOwnerBytes: 5, adminHost: "127.0.0.1" });
  expect(Object.isFrozen(config)).toBe(true);
  expect(Object.isFrozen(config.listen)).toBe(true);
});

test("paths are relative to the node's directory", async () => {
  const config = await loadNodeConfig({ directory, flags: { storeDirectory: "/elsewhere/store" } });
  expect(config.keyFile).toBe(path.join(directory, "key.json"));
  expect(config.federationFile).toBe(path.join(directory, "federation.json"));
  expect(config.storeDirectory).toBe("/elsewhere/store");
});

test.each([
  ["adminPort", "65536"],
  ["duties", "custody,parking"],
  ["listen", "127.0.0.1:4001"],
  ["founder", "abc"],
  ["minFreeBytes", "1"],
  ["maxMessageBytes", "0"],
  ["name", "Not A Name"],
])("a bad value of %s is refused", async (key, value) => {
  await expect(loadNodeConfig({ directory, flags: { [key]: value } })).rejects.toMatchObject({
    code: "CONFIG_BAD_VALUE",
    details: { key },
  });
});
