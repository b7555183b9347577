import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { afterEach, expect, test } from "vitest";
import { loadConfig } from "../../../runtime/config.ts";
import { newFolder, removeFolders } from "./folder.ts";

afterEach(removeFolders);

const schema = v.strictObject({
  adminPort: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65535)),
  name: v.string(),
  allowRemote: v.optional(v.boolean()),
  listen: v.array(v.string()),
  weights: v.optional(v.array(v.number())),
  limits: v.optional(v.strictObject({ requests: v.number() })),
});
const defaults = { adminPort: 0, name: "node", listen: ["/ip4/127.0.0.1/tcp/0"] };

async function fileWith(content: unknown): Promise<string> {
  const path = join(await newFolder(), "config.json");
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

test("flags win over environment, environment over file, file over defaults", async () => {
  const file = await fileWith({ adminPort: 1, name: "file" });
  const env = { INTERCLOUD_ADMIN_PORT: "2" };
  expect(await loadConfig(schema, { defaults })).toEqual(defaults);
  expect(await loadConfig(schema, { defaults, file })).toMatchObject({ adminPort: 1, name: "file" });
  expect(await loadConfig(schema, { defaults, file, env })).toMatchObject({ adminPort: 2, name: "file" });
  const flags = { adminPort: 3, name: undefined, json: true };
  expect(await loadConfig(schema, { defaults, file, env, flags })).toMatchObject({ adminPort: 3, name: "file" });
});

test("texts become what the schema wants", async () => {
  const env = {
    INTERCLOUD_NAME: "7",
    INTERCLOUD_ALLOW_REMOTE: "true",
    INTERCLOUD_LISTEN: "/ip4/1.2.3.4/tcp/1, /ip6/::1/tcp/1",
    INTERCLOUD_WEIGHTS: "1,2.5",
  };
  expect(await loadConfig(schema, { defaults, env, flags: { "admin-port": "8080" } })).toEqual({
    name: "7",
    allowRemote: true,
    listen: ["/ip4/1.2.3.4/tcp/1", "/ip6/::1/tcp/1"],
    weights: [1, 2.5],
    adminPort: 8080,
  });
});

test("the result cannot be changed, at any depth", async () => {
  const file = await fileWith({ limits: { requests: 5 } });
  const config = await loadConfig(schema, { defaults, file });
  expect(() => Object.assign(config, { name: "x" })).toThrow(TypeError);
  expect(() => Object.assign(config.limits ?? {}, { requests: 6 })).toThrow(TypeError);
  expect(() => (config.listen as string[]).push("x")).toThrow(TypeError);
});

test.each([
  ["adminport", "adminPort"],
  ["adminPrt", "adminPort"],
  ["nmae", undefined],
  ["nam", "name"],
  ["completelyDifferent", undefined],
  ["__proto__x", undefined],
])("the unknown key %s in a file is refused", async (key, suggestion) => {
  const file = await fileWith(`{"${key}": 1}`);
  await expect(loadConfig(schema, { defaults, file })).rejects.toMatchObject({
    code: "CONFIG_UNKNOWN_KEY",
    status: "bad-request",
    message: expect.stringContaining(suggestion === undefined ? "it knows adminPort" : `did you mean "${suggestion}"?`),
    details: { key, suggestion },
  });
});

test("a key named like the prototype is an unknown one", async () => {
  const file = await fileWith('{"__proto__": {"name": "x"}}');
  await expect(loadConfig(schema, { defaults, file })).rejects.toMatchObject({ code: "CONFIG_UNKNOWN_KEY" });
});

test("a slip in the environment is refused, what belongs to others is not", async () => {
  const slip = { INTERCLOUD_ADMIN_PRT: "1" };
  await expect(loadConfig(schema, { defaults, env: slip })).rejects.toMatchObject({
    code: "CONFIG_UNKNOWN_KEY",
    message: expect.stringContaining('did you mean "INTERCLOUD_ADMIN_PORT"?'),
  });
  const others = { INTERCLOUD_HOME: "/x", INTERCLOUD_NODE: "/bin/node", INTERCLOUD_RESEED_SECONDS: "1", NAME: "x" };
  expect(await loadConfig(schema, { defaults, env: others })).toEqual(defaults);
});

test.each([
  ["a flag", { flags: { adminPort: "http" } }, "--admin-port is not valid"],
  ["the environment", { env: { INTERCLOUD_ADMIN_PORT: "70000" } }, "variable INTERCLOUD_ADMIN_PORT is not valid"],
  ["a default", { defaults: { ...defaults, adminPort: -1 } }, 'the default of "adminPort" is not valid'],
  ["nowhere", { defaults: { listen: [] } }, "needed; give it in the file, as INTERCLOUD_ADMIN_PORT or as a flag"],
])("a bad value from %s names its place", async (_, sources, words) => {
  await expect(loadConfig(schema, { defaults, ...sources })).rejects.toMatchObject({
    code: "CONFIG_BAD_VALUE",
    status: "bad-request",
    message: expect.stringContaining(words),
    details: { key: "adminPort" },
  });
});

test("a bad value in a file names the file and the place in it", async () => {
  const file = await fileWith({ limits: { requests: "many" } });
  await expect(loadConfig(schema, { defaults, file })).rejects.toMatchObject({
    code: "CONFIG_BAD_VALUE",
    message: expect.stringContaining(`"limits" in ${file} (at limits.requests)`),
  });
});

test("checks over several settings are made too", async () => {
  const both = v.pipe(
    v.strictObject({ threshold: v.number(), providers: v.number() }),
    v.check(({ threshold, providers }) => threshold <= providers, "the threshold is above the number of providers"),
  );
  await expect(loadConfig(both, { defaults: { threshold: 4, providers: 3 } })).rejects.toMatchObject({
    code: "CONFIG_BAD_VALUE",
    message: expect.stringContaining("above the number of providers"),
  });
});

test.each(["{", "[]", "null", "7"])("the file %s is refused", async (text) => {
  const file = await fileWith(text);
  await expect(loadConfig(schema, { defaults, file })).rejects.toMatchObject({ code: "CONFIG_MALFORMED" });
});

test("a file that is not there is refused", async () => {
  const file = join(await newFolder(), "none.json");
  await expect(loadConfig(schema, { defaults, file })).rejects.toMatchObject({ code: "CONFIG_MISSING" });
});
