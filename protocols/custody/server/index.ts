/** Everything that a provider answers under the custody protocol. */
import type { CborValue } from "../../wire/codec.ts";
import type { Context, Handlers } from "../../wire/transport.ts";
import { giveAccount } from "./account.ts";
import { createActiveDeposits } from "./active.ts";
import { bind } from "./bind.ts";
import { abandon } from "./burn.ts";
import { activate } from "./change/activate.ts";
import { changeStatus, dropOwn } from "./change/give-up.ts";
import { changeCiphertext, changeCopy, changeEnvelope, changePart } from "./change/members.ts";
import { prepareChange } from "./change/prepare.ts";
import { retire } from "./change/retire.ts";
import { transfer } from "./change/transfer.ts";
import { collect, part } from "./collect.ts";
import { destroy } from "./destroy.ts";
import { check } from "./fingerprints.ts";
import { grant, granted, grants } from "./grants.ts";
import { receiveCopy } from "./keep.ts";
import { receiveEnvelope } from "./keep-envelope.ts";
import { linkLot, receiveLotPart } from "./lot/link-lot.ts";
import { createLotsUnderWay } from "./lot/lots-under-way.ts";
import { placeLot } from "./lot/place-lot.ts";
import { sealLot } from "./lot/seal-lot.ts";
import { lotStatus } from "./lot/settle-lot.ts";
import { testifyLot } from "./lot/testify-lot.ts";
import { pour } from "./pour.ts";
import type { CustodyProvider } from "./provider.ts";
import { hello, list, locate, ready, show, tokenOfReady, tokenOfShow } from "./queries.ts";
import { createQuestionLine } from "./question-line.ts";
import { createRefusals } from "./refusals.ts";
import { answerRepair, restorePage } from "./repair/answer-repair.ts";
import { repairCiphertext, repairEnvelope, repairPart } from "./repair/parts.ts";
import { read, retrieve } from "./retrieve.ts";
import { seal } from "./seal.ts";
import { serveEnvelope } from "./serve-envelope.ts";
import { sealStatus } from "./settle-linked.ts";
import { link } from "./short/link.ts";
import { place, receivePart } from "./short/place.ts";
import { createShortDeposits } from "./short/short-deposits.ts";
import { testify } from "./testify.ts";

export { sweepDeposits } from "./burn.ts";
export type { CustodyEvent, CustodyLimits, CustodyProvider } from "./provider.ts";
export { type RestoreReport, restoreAll } from "./repair/restore.ts";
export { settleCustody } from "./settle.ts";

export function custodyHandlers(provider: CustodyProvider): Handlers {
  const active = createActiveDeposits();
  const shorts = createShortDeposits(provider.clock);
  const lots = createLotsUnderWay(provider.clock);
  const refusals = createRefusals(provider);
  const questions = createQuestionLine(provider.clock);
  /** Users stand in line; of what providers ask each other there is little, and it mends deposits. */
  const inLine = (tokenId: Uint8Array, { from, signal }: Context, answer: () => Promise<CborValue>) =>
    provider.agreementKeyOf(from) === undefined ? questions.ask(tokenId, signal, answer) : answer();
  return {
    asks: {
      hello: () => hello(provider),
      bind: (body, context) => bind(provider, body, context),
      place: (body, context) => place(provider, active, shorts, body, context),
      "place-part": (body, context) => Promise.resolve(receivePart(provider, shorts, body, context)),
      link: (body, context) => link(provider, active, shorts, body, context),
      check: (body, context) => check(provider, active, body, context),
      seal: (body) => seal(provider, body),
      abandon: (body, context) => abandon(provider, active, lots, body, context),
      "seal-status": (body, context) => sealStatus(provider, body, context),
      ready: async (body, context) => await inLine(tokenOfReady(body), context, () => ready(provider, body)),
      read: (body, context) => read(provider, active, refusals, body, context),
      show: async (body, context) => await inLine(tokenOfShow(body), context, () => show(provider, body)),
      list: (body) => list(provider, body),
      locate: (body, context) => locate(provider, body, context),
      "restore-page": (body, context) => restorePage(provider, body, context),
      "change-prepare": (body) => prepareChange(provider, body),
      "change-activate": (body) => activate(provider, body),
      "change-retire": (body, context) => retire(provider, body, context),
      "change-drop": (body) => dropOwn(provider, active, body),
      "change-status": (body) => changeStatus(provider, body),
      grant: (body) => grant(provider, active, body),
      grants: (body) => grants(provider, body),
      granted: (body) => granted(provider, body),
      destroy: (body) => destroy(provider, active, body),
    },
    channels: {
      pour: (channel, header, context) => pour(provider, active, channel, header, context),
      collect: (channel, header, context) => collect(provider, active, channel, header, context),
      part: (channel, header, context) => part(provider, active, channel, header, context),
      "place-lot": (channel, header, context) => placeLot(provider, active, lots, channel, header, context),
      "lot-part": (channel, header, context) => receiveLotPart(provider, lots, channel, header, context),
      "link-lot": (channel, header, context) => linkLot(provider, active, lots, channel, header, context),
      "testify-lot": (channel, header, context) => testifyLot(provider, active, lots, channel, header, context),
      "seal-lot": (channel, header, context) => sealLot(provider, active, lots, channel, header, context),
      "lot-status": (channel, header, context) => lotStatus(provider, channel, header, context),
      copy: (channel, header, context) => receiveCopy(provider, active, channel, header, context),
      testify: (channel, header, context) => testify(provider, active, channel, header, context),
      envelope: (channel, header, context) => receiveEnvelope(provider, active, channel, header, context),
      "read-envelope": (channel, header, context) =>
        serveEnvelope(provider, active, refusals, channel, header, context),
      retrieve: (channel, header, context) => retrieve(provider, active, refusals, channel, header, context),
      account: (channel, header, context) => giveAccount(provider, channel, header, context),
      repair: (channel, header, context) => answerRepair(provider, active, channel, header, context),
      "repair-part": (channel, header, context) => repairPart(provider, channel, header, context),
      "repair-ciphertext": (channel, header, context) => repairCiphertext(provider, channel, header, context),
      "repair-envelope": (channel, header, context) => repairEnvelope(provider, channel, header, context),
      "change-transfer": (channel, header, context) => transfer(provider, active, channel, header, context),
      "change-part": (channel, header, context) => changePart(provider, channel, header, context),
      "change-ciphertext": (channel, header, context) => changeCiphertext(provider, channel, header, context),
      "change-envelope": (channel, header, context) => changeEnvelope(provider, channel, header, context),
      "change-copy": (channel, header, context) => changeCopy(provider, active, channel, header, context),
    },
  };
}
