/** Messages as JSON lines: `{"name": ..., "text": ...}` or `{"name": ..., "base64": ...}`, one in each line; the name may be left out. */
import * as v from "valibot";
import { IntercloudError } from "../../protocols/wire/errors.ts";

export interface NamedMessage {
  readonly name: string | null;
  readonly message: Uint8Array;
}

const name = v.optional(v.string());
const lineShape = v.union([
  v.strictObject({ name, text: v.string() }),
  v.strictObject({ name, base64: v.pipe(v.string(), v.base64()) }),
]);

/** Empty lines count, and say nothing. @throws IntercloudError BAD_LINE that names the line, never what is in it. */
export function messagesIn(bytes: Uint8Array): NamedMessage[] {
  const lines = utf8(bytes).split("\n");
  return [...lines.entries()].flatMap(([index, line]) => (line.trim() === "" ? [] : [messageIn(line, index + 1)]));
}

function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    const message = "stdin is not UTF-8 text, which JSON lines are";
    throw new IntercloudError("BAD_LINE", "bad-request", message, {}, cause);
  }
}

function messageIn(line: string, number: number): NamedMessage {
  const found = v.safeParse(lineShape, parsed(line, number));
  if (!found.success) {
    throw badLine(number, 'is not {"text": ...} or {"base64": ...}, with a "name" or without');
  }
  const { output } = found;
  const message = "text" in output ? Buffer.from(output.text, "utf8") : Buffer.from(output.base64, "base64");
  return { name: output.name ?? null, message: new Uint8Array(message) };
}

function parsed(line: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw badLine(number, "is not JSON");
  }
}

function badLine(number: number, what: string): IntercloudError {
  return new IntercloudError("BAD_LINE", "bad-request", `line ${number} ${what}; nothing was deposited`);
}
