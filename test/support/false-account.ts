/** A provider that signs an account of another share than it was dealt, or another ciphertext than it got: what an honest one never does. */
import { blockDigestsOf, bodyDigest } from "../../protocols/crypto/block-digest.ts";
import { accountRequestDigest, coveringBlocks, signAccount } from "../../protocols/custody/account.ts";
import { accountContentShape, requestShape } from "../../protocols/custody/messages.ts";
import { ciphertextName } from "../../protocols/custody/server/deposit-record.ts";
import { loadServing } from "../../protocols/custody/server/serving.ts";
import { loadHeldDeal, shareOf } from "../../protocols/dealing/held-deal.ts";
import { checkRequest } from "../../protocols/identity/request.ts";
import { shareBytes } from "../../protocols/rounds/share.ts";
import { whole } from "../../protocols/rounds/whole.ts";
import type { CborValue } from "../../protocols/wire/codec.ts";
import { parseShape } from "../../protocols/wire/shape.ts";
import type { Channel } from "../../protocols/wire/transport.ts";
import type { WorldProvider } from "./custody-world.ts";

export async function giveFalseAccount(
  { custody, peer, signer, store }: WorldProvider,
  channel: Channel,
  header: CborValue,
  what: "share" | "ciphertext",
): Promise<void> {
  const { request } = parseShape(requestShape, header, "account");
  const checked = checkRequest(request, "retrieve", custody.clock.nowMs());
  const { tokenId, dealId, offsetBytes, lengthBytes } = parseShape(accountContentShape, checked.content, "account");
  const { placement } = await loadServing(store, tokenId, dealId);
  const { manifest, kept, generation } = placement;
  const range = coveringBlocks(offsetBytes, lengthBytes, manifest.lengthBytes);
  const deal = (await loadHeldDeal(store, dealId))!;
  const dealt = await whole(shareBytes(shareOf(deal, store), manifest.lengthBytes, custody.tools.keystream));
  const share = what === "share" ? new Uint8Array(manifest.lengthBytes).fill(7) : dealt;
  // what is here by now, whatever it was
  const ciphertext = store.files.get(ciphertextName(tokenId, generation))!;
  const account = signAccount(
    {
      ...{ version: 1, tokenId, dealId, peer, point: placement.roster.indexOf(peer) + 1 },
      ...{ request: accountRequestDigest(request), keepingDigest: kept!.keepingDigest, timeMs: custody.clock.nowMs() },
      ...{ shareDigest: bodyDigest(share), ciphertextDigest: bodyDigest(ciphertext) },
    },
    signer,
  );
  await channel.sendMessage({ account });
  for (const bytes of [share, ciphertext]) {
    for (const part of [blockDigestsOf(bytes), bytes.slice(range.startBytes, range.startBytes + range.lengthBytes)]) {
      await channel.sendBody(
        (async function* () {
          yield part;
        })(),
      );
    }
  }
  await channel.close();
}
