/** A testnet for one test file, its user, and what its providers have on disk. */
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect } from "vitest";
import { intercloud, intercloudJson, type Outcome, type RunOptions } from "./intercloud.ts";

export interface TestUser {
  /** Temporary; the testnet is in `net` below it. */
  readonly directory: string;
  readonly net: string;
  readonly home: string;
  /** As the testnet's user, unless `options` say otherwise. */
  run(args: readonly string[], options?: RunOptions): Promise<Outcome>;
  /** Deposits these bytes and returns the token. @throws Error when it fails. */
  put(bytes: Uint8Array, ...flags: string[]): Promise<string>;
  /** Gets a deposit and compares it. */
  expectBack(token: string, bytes: Uint8Array, ...flags: string[]): Promise<Outcome>;
  /** `kill`, `start`, `pause` or `resume`. */
  testnet(command: string, ...names: string[]): Promise<void>;
  /** A file of this user's, outside the home. */
  file(name: string, bytes: Uint8Array): Promise<string>;
  /** Puts the federation file into another home. */
  copyFederation(otherHome: string): Promise<void>;
  /** Files in the store of `provider-<number>` that hold ciphertexts and corrections. */
  bodies(number: number): Promise<readonly string[]>;
  ciphertextFile(number: number, token: string): Promise<string>;
}

/** Starts it; it is ended and removed after the tests of the file. */
export async function testnetUser(providers: number, threshold: number): Promise<TestUser> {
  const directory = await mkdtemp(path.join(tmpdir(), "intercloud-"));
  const net = path.join(directory, "net");
  const home = path.join(net, "client");
  afterAll(async () => {
    await intercloud(["testnet", "down", "--dir", net]);
    await rm(directory, { recursive: true, force: true });
  });
  const numbers = ["--providers", String(providers), "--threshold", String(threshold)];
  await intercloudJson(["testnet", "up", ...numbers, "--dir", net]);

  const user: TestUser = {
    ...{ directory, net, home },
    run: (args, options) => intercloud(args, { home, ...options }),
    async put(bytes, ...flags) {
      const { exitCode, stdout, stderr } = await user.run(["put", "--whole", "-", ...flags], { stdin: bytes });
      if (exitCode !== 0) throw new Error(`put ended with ${exitCode}: ${stderr}`);
      expect(stdout).toMatch(/^ict1[0-9a-z]+\n$/);
      return stdout.trim();
    },
    async expectBack(token, bytes, ...flags) {
      const outcome = await user.run(["get", token, ...flags]);
      expect(outcome.stderr).not.toMatch(/\[(?!LIAR_NAMED|PROVIDER_REPLACED)\w+\]/);
      expect(outcome.exitCode).toBe(0);
      expect(Buffer.compare(outcome.bytes, bytes)).toBe(0);
      return outcome;
    },
    async testnet(command, ...names) {
      await intercloudJson(["testnet", command, ...names, "--dir", net]);
    },
    async file(name, bytes) {
      const file = path.join(directory, name);
      await writeFile(file, bytes);
      return file;
    },
    copyFederation: (otherHome) =>
      copyFile(path.join(home, "federation.json"), path.join(otherHome, "federation.json")),
    bodies: (number) => readdir(path.join(net, `provider-${number}`, "store/bodies")),
    async ciphertextFile(number, token) {
      const { tokenId } = await intercloudJson(["show", token], { home });
      return path.join(net, `provider-${number}`, "store/bodies", `ciphertext-${tokenId}`);
    },
  };
  return user;
}

/** Flips the lowest bit of one byte; calling it again mends the file. */
export async function flipBit(file: string, at: number): Promise<void> {
  const bytes = await readFile(file);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await writeFile(file, bytes);
}

/** Changes a peer's or a home's config.json. */
export async function configure(directory: string, settings: object): Promise<{ undo(): Promise<void> }> {
  const file = path.join(directory, "config.json");
  const before = await readFile(file, "utf8");
  await writeFile(file, JSON.stringify({ ...JSON.parse(before), ...settings }));
  return { undo: () => writeFile(file, before) };
}
