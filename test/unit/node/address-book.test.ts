import { expect, test } from "vitest";
import { type AddressRecord, createAddressBook } from "../../../node/address-book.ts";

const record = (peer: string, port: number, issuedAtMs: number): AddressRecord => ({
  peer,
  addresses: [`/ip4/127.0.0.1/tcp/${port}`],
  issuedAtMs,
});
const bytesOf = (value: AddressRecord) => Buffer.from(JSON.stringify(value));
const readRecord = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString("utf8")) as AddressRecord;
const makeBook = () => createAddressBook({ members: [record("a", 1, 100), record("b", 2, 100)], readRecord });

test("knows the members of the federation and nobody else", () => {
  const book = makeBook();
  expect(book.isMember("a")).toBe(true);
  expect(book.isMember("c")).toBe(false);
  expect(book.addressesOf("b")).toEqual(["/ip4/127.0.0.1/tcp/2"]);
  expect(book.addressesOf("c")).toEqual([]);
});

test("takes a newer record and keeps it against older ones", () => {
  const book = makeBook();
  book.learn("a", bytesOf(record("a", 9, 200)));
  expect(book.addressesOf("a")).toEqual(["/ip4/127.0.0.1/tcp/9"]);
  expect(() => book.learn("a", bytesOf(record("a", 1, 199)))).toThrow(expect.objectContaining({ code: "OLD_RECORD" }));
  expect(book.addressesOf("a")).toEqual(["/ip4/127.0.0.1/tcp/9"]);
  book.learn("a", bytesOf(record("a", 9, 200)));
});

test("refuses strangers, records of others and what cannot be read", () => {
  const book = makeBook();
  expect(() => book.learn("c", bytesOf(record("c", 3, 200)))).toThrow(
    expect.objectContaining({ code: "NOT_A_MEMBER" }),
  );
  expect(() => book.learn("a", bytesOf(record("b", 3, 200)))).toThrow(
    expect.objectContaining({ code: "WRONG_RECORD" }),
  );
  expect(() => book.learn("a", Buffer.from("junk"))).toThrow();
  expect(book.addressesOf("a")).toEqual(["/ip4/127.0.0.1/tcp/1"]);
});

test("chooses the newest of the records that can be read", () => {
  const records = [
    Buffer.from("junk"),
    bytesOf(record("a", 1, 5)),
    bytesOf(record("a", 2, 7)),
    bytesOf(record("a", 3, 6)),
  ];
  expect(makeBook().newestOf(records)).toBe(2);
});
