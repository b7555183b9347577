/** Short bodies are records: they come with the commit that needs them, and cost no file. Whoever reads a body need not know. */
import type { BodyStore, Change } from "../../protocols/storage/index.ts";

const PREFIX = "body/";

export function inlineBodyKey(name: string): string {
  return PREFIX + name;
}

/** What of the store is needed here. */
export interface InlineRecords {
  get(key: string): Promise<Uint8Array | undefined>;
  commit(changes: readonly Change[]): Promise<void>;
  entries(prefix: string): AsyncIterable<readonly [key: string, value: Uint8Array]>;
}

/** Bodies by name, wherever they are. Of two with one name the record is the newer one. */
export function withInlineBodies(files: BodyStore, records: InlineRecords): BodyStore {
  const inline = (name: string) => records.get(inlineBodyKey(name));
  /** @returns whether there was one. */
  const removeInline = async (name: string) => {
    if ((await inline(name)) === undefined) return false;
    await records.commit([{ kind: "delete", key: inlineBodyKey(name) }]);
    return true;
  };
  return {
    async write(name, source) {
      await files.write(name, source);
      await removeInline(name);
    },
    async *read(name, offsetBytes) {
      const bytes = await inline(name);
      if (bytes === undefined) yield* files.read(name, offsetBytes);
      else if (offsetBytes < bytes.length) yield new Uint8Array(bytes.subarray(offsetBytes));
    },
    async lengthBytes(name) {
      return (await inline(name))?.length ?? (await files.lengthBytes(name));
    },
    async remove(name) {
      const wasInline = await removeInline(name);
      if (!wasInline || (await files.lengthBytes(name)) !== undefined) await files.remove(name);
    },
    async *names() {
      const seen = new Set<string>();
      for await (const [key] of records.entries(PREFIX)) {
        seen.add(key.slice(PREFIX.length));
        yield key.slice(PREFIX.length);
      }
      for await (const name of files.names()) if (!seen.has(name)) yield name;
    },
  };
}
