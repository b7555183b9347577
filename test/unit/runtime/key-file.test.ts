import { randomBytes } from "node:crypto";
import { chmod, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readKeyFile, writeKeyFile } from "../../../runtime/key-file.ts";
import { passphraseFrom } from "../../../runtime/passphrase.ts";
import { newFolder, removeFolders } from "./folder.ts";

const seed = new Uint8Array(randomBytes(32));
let folder: string;
let path: string;

beforeEach(async () => {
  folder = await newFolder();
  path = join(folder, "node.key");
});
afterEach(removeFolders);

async function rewrite(change: (text: string) => string): Promise<void> {
  await writeFile(path, change(await readFile(path, "utf8")));
}

describe("a key file", () => {
  test.each([undefined, "correct horse", "pa\u00dfwort \u2713"])("is read back (passphrase %j)", async (passphrase) => {
    await writeKeyFile(path, seed, passphrase);
    expect(await readKeyFile(path, passphrase)).toEqual(seed);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(["node.key"]);
  });

  test("that is sealed does not hold the seed, and two of them have nothing in common", async () => {
    await writeKeyFile(path, seed, "one");
    await writeKeyFile(join(folder, "other.key"), seed, "one");
    const [first, second] = await Promise.all([path, join(folder, "other.key")].map((name) => readFile(name, "utf8")));
    expect(first).not.toContain(Buffer.from(seed).toString("hex"));
    expect(JSON.parse(first ?? "").content.ciphertext).not.toBe(JSON.parse(second ?? "").content.ciphertext);
    expect(JSON.parse(first ?? "").content.kdf).toMatchObject({ name: "scrypt", N: 32768, r: 8, p: 1 });
  });

  test("is never overwritten", async () => {
    await writeKeyFile(path, seed, undefined);
    await expect(writeKeyFile(path, new Uint8Array(32), undefined)).rejects.toMatchObject({ code: "KEY_FILE_EXISTS" });
    expect(await readKeyFile(path, undefined)).toEqual(seed);
    expect(await readdir(folder)).toEqual(["node.key"]);
  });

  test("refuses a wrong or missing passphrase", async () => {
    await writeKeyFile(path, seed, "right");
    await expect(readKeyFile(path, "wrong")).rejects.toMatchObject({ code: "WRONG_PASSPHRASE", status: "refused" });
    await expect(readKeyFile(path, undefined)).rejects.toMatchObject({ code: "PASSPHRASE_NEEDED" });
  });

  test("takes a passphrase in either of Unicode's forms", async () => {
    await writeKeyFile(path, seed, "caf\u00e9");
    expect(await readKeyFile(path, "cafe\u0301")).toEqual(seed);
  });

  test.each([0o640, 0o604, 0o620, 0o601])("that others may touch is refused (mode %o)", async (mode) => {
    await writeKeyFile(path, seed, undefined);
    await chmod(path, mode);
    const message = expect.stringContaining(`chmod 600 ${path}`);
    await expect(readKeyFile(path, undefined)).rejects.toMatchObject({ code: "KEY_FILE_PERMISSIONS", message });
  });

  test("that is missing is said to be missing", async () => {
    await expect(readKeyFile(path, undefined)).rejects.toMatchObject({ code: "KEY_FILE_MISSING", status: "not-found" });
  });

  test("whatever character of it changes, it is damaged, and the error does not quote it", async () => {
    for (const passphrase of [undefined, "right"]) {
      path = join(folder, `${passphrase}.key`);
      await writeKeyFile(path, seed, passphrase);
      const text = await readFile(path, "utf8");
      // Every 7th character meets each field; a changed character within white space stays JSON at most.
      for (let at = 0; at < text.length; at += 7) {
        if (/\s/.test(text.charAt(at))) continue;
        const other = text.charAt(at) === "0" ? "1" : "0";
        await writeFile(path, text.slice(0, at) + other + text.slice(at + 1));
        const error = await readKeyFile(path, passphrase).then(
          () => undefined,
          (failure: unknown) => failure as Error,
        );
        expect(error, `character ${at}`).toMatchObject({ code: "KEY_FILE_DAMAGED", status: "damaged" });
        expect(error?.message).not.toContain(Buffer.from(seed).toString("hex").slice(0, 8));
        expect(error?.cause).toBeUndefined();
      }
    }
  });

  test("that asks for absurd work is refused before the work is done", async () => {
    await writeKeyFile(path, seed, "right");
    await rewrite((text) => text.replace('"N": 32768', '"N": 1073741824'));
    await expect(readKeyFile(path, "right")).rejects.toMatchObject({ code: "KEY_FILE_DAMAGED" });
  });

  test("that is cut off is damaged", async () => {
    await writeKeyFile(path, seed, undefined);
    await rewrite((text) => text.slice(0, -20));
    await expect(readKeyFile(path, undefined)).rejects.toMatchObject({ code: "KEY_FILE_DAMAGED" });
  });

  test("holds 32 bytes", async () => {
    await expect(writeKeyFile(path, new Uint8Array(31), undefined)).rejects.toMatchObject({ code: "BAD_KEY" });
  });
});

describe("a passphrase", () => {
  test("comes from the flag's file, then the environment's file, then the environment", async () => {
    const flagged = join(folder, "flag");
    const named = join(folder, "named");
    await writeFile(flagged, "from the flag\n");
    await writeFile(named, "from the file \r\n");
    const env = { INTERCLOUD_PASSPHRASE_FILE: named, INTERCLOUD_PASSPHRASE: "from the environment" };
    expect(await passphraseFrom({ file: flagged, env })).toBe("from the flag");
    expect(await passphraseFrom({ env })).toBe("from the file ");
    expect(await passphraseFrom({ env: { INTERCLOUD_PASSPHRASE: "from the environment" } })).toBe(
      "from the environment",
    );
    expect(await passphraseFrom({ env: {} })).toBeUndefined();
  });

  test("that is empty or cannot be read is an error", async () => {
    await writeFile(join(folder, "empty"), "\n");
    await expect(passphraseFrom({ file: join(folder, "empty") })).rejects.toMatchObject({ code: "PASSPHRASE_EMPTY" });
    await expect(passphraseFrom({ env: { INTERCLOUD_PASSPHRASE: "" } })).rejects.toMatchObject({
      code: "PASSPHRASE_EMPTY",
    });
    await expect(passphraseFrom({ file: join(folder, "none") })).rejects.toMatchObject({
      code: "PASSPHRASE_FILE_MISSING",
    });
  });
});
