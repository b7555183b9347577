/** An audit log through a running node's admin server. */
import * as v from "valibot";
import { readEntry } from "../../protocols/audit/index.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import { parseShape } from "../../protocols/wire/shape.ts";
import { MAX_PAGE_ENTRIES } from "./admin.ts";
import { entryOf, signedHeadIn } from "./files.ts";
import type { LogSource } from "./source.ts";

/** A page is read from the disk and sent over loopback. */
const TIMEOUT_MS = 10_000;
/** A page of the longest entries that there can be is 6 MB. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

const answerShape = v.object({ entries: v.array(v.string()) });

/** @param url of the admin server, such as `http://127.0.0.1:8080`. */
export function urlLog(url: string, signal: AbortSignal): LogSource {
  return {
    name: `at ${url}`,
    async signedHead() {
      const answer = await ask(url, "/audit/head", signal);
      return answer === undefined ? undefined : signedHeadIn(answer);
    },
    async *entries(after) {
      for (let behind = after; ; ) {
        const answer = await ask(url, `/audit/entries?after=${behind}&limit=${MAX_PAGE_ENTRIES}`, signal);
        const { entries } = parseShape(answerShape, answer, "audit entries");
        for (const each of entries) {
          const entry = entryOf(each);
          yield entry;
          behind = Math.max(behind + 1, readEntry(entry)?.sequence ?? 0);
        }
        if (entries.length === 0) return;
      }
    },
    async close() {},
  };
}

/** Undefined when the node has no log yet. @throws IntercloudError ADMIN_UNREACHABLE, ADMIN_FAILED. */
async function ask(url: string, question: string, signal: AbortSignal): Promise<unknown> {
  const either = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  try {
    const response = await fetch(new URL(question, url), { signal: either });
    const text = await textOf(response);
    if (response.ok) return JSON.parse(text);
    if (response.status === 404) return undefined;
    throw new Error(`it answered ${response.status}`);
  } catch (cause) {
    signal.throwIfAborted();
    const message =
      `the admin server at ${url} does not tell of its audit log; is the node running, ` +
      "and is that its address (it says so in its log, at admin-listening)?";
    throw new IntercloudError("ADMIN_UNREACHABLE", "unreachable", message, {}, cause);
  }
}

async function textOf(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let lengthBytes = 0;
  for await (const part of response.body ?? []) {
    lengthBytes += part.length;
    if (lengthBytes > MAX_ANSWER_BYTES) throw new Error("its answer does not end");
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}
