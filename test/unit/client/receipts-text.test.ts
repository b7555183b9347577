import { expect, test } from "vitest";
import {
  destroyedText,
  failWhenReceiptsBroken,
  failWhenRecoverable,
  receiptsText,
} from "../../../client/commands/receipts-text.ts";
import { type ReceiptsReport, reportReceipts } from "../../../client/receipts-report.ts";
import { fromHex, loadVectors } from "../../support/vectors.ts";

const golden = loadVectors<{ file: string; roster: string[] }>("receipt/golden");
const names = (peer: string) => `provider-${golden.roster.indexOf(peer) + 1}`;
const report = reportReceipts(fromHex(golden.file), { providers: golden.roster, dealers: [], nameOf: names });
const withChanges = (changes: Partial<ReceiptsReport>): ReceiptsReport => ({ ...report, ...changes });

test("how many did it, and whether that is enough", () => {
  expect(destroyedText(report)).toBe("destroyed at 2 of 3 providers; the message is unrecoverable");
  expect(destroyedText(withChanges({ destroyed: 1, unrecoverable: false }))).toBe(
    "destroyed at 1 of 3 providers; 2 are needed before the message is unrecoverable",
  );
});

test("with Protocol 2 just enough providers are not enough while a copy of the user's share is left", () => {
  const left = "unless a copy of the user's own share is left somewhere";
  expect(destroyedText(withChanges({ protocol: 2 }))).toContain(left);
  expect(destroyedText(withChanges({ protocol: 2, destroyed: 3 }))).not.toContain(left);
});

test("too few is exit code 4, and says who is missing", () => {
  failWhenRecoverable(report);
  const missing = ["provider-2", "provider-3"];
  expect(() => failWhenRecoverable(withChanges({ destroyed: 1, unrecoverable: false, missing }))).toThrow(
    expect.objectContaining({
      ...{ code: "NOT_ENOUGH_PROVIDERS", status: "unreachable" },
      message: expect.stringMatching(/; run it again when provider-2 and provider-3 are up$/),
    }),
  );
});

test("receipts are listed with what was removed where, and broken ones are exit code 5", () => {
  expect(receiptsText(report)).toMatch(
    /provider-1 +\d{4}-\S+ +share, ciphertext +valid\n.*provider-3 +\S+ +share +valid\n/,
  );
  failWhenReceiptsBroken(report);
  const [first, ...others] = report.receipts;
  const broken = withChanges({ receipts: [{ ...first!, valid: false, problem: "its signature is wrong" }, ...others] });
  expect(receiptsText(broken)).toContain("BROKEN: its signature is wrong");
  expect(() => failWhenReceiptsBroken(broken)).toThrow(
    expect.objectContaining({
      code: "RECEIPT_BROKEN",
      status: "integrity",
      message: expect.stringContaining("provider-1"),
    }),
  );
  const strangers = withChanges({ federation: { valid: false, strangers: ["somebody"] } });
  expect(() => failWhenReceiptsBroken(strangers)).toThrow(expect.objectContaining({ code: "NOT_MEMBERS" }));
});
