import { expect, test } from "vitest";
import { messagesIn } from "../../../client/commands/json-lines.ts";

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

test("text and base64, with a name and without; empty lines say nothing", () => {
  const lines = '{"name":"a","text":"grüße"}\n\n{"base64":"AAEC"}\r\n{"text":""}';
  expect(messagesIn(bytes(lines))).toEqual([
    { name: "a", message: bytes("grüße") },
    { name: null, message: new Uint8Array([0, 1, 2]) },
    { name: null, message: new Uint8Array() },
  ]);
  expect(messagesIn(bytes(""))).toEqual([]);
});

test.each([
  ["no JSON", "{text: 1}"],
  ["another type", '["text"]'],
  ["neither", '{"name":"a"}'],
  ["both", '{"text":"a","base64":"AA=="}'],
  ["a field too many", '{"text":"a","secret":1}'],
  ["a number for a text", '{"text":1}'],
  ["a name that is none", '{"name":1,"text":"a"}'],
  ["base64 that is none", '{"base64":"A"}'],
])("%s: the line is named, and what is in it is not", (_, line) => {
  const read = () => messagesIn(bytes(`{"text":"fine"}\n\n${line}\n`));
  expect(read).toThrow(expect.objectContaining({ code: "BAD_LINE", message: expect.stringContaining("line 3") }));
  expect(read).not.toThrow(expect.objectContaining({ message: expect.stringContaining("secret") }));
});

test("bytes that are no text", () => {
  expect(() => messagesIn(new Uint8Array([0x7b, 0xff]))).toThrow(expect.objectContaining({ code: "BAD_LINE" }));
});
