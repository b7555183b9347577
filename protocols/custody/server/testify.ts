/**
 * When the fingerprints of a deposit do not fit, somebody lied: the owner asks everybody for its share, and finds out by doing all layers
 * again who laid another one. The deposit is over then: whoever has shown its share burns it.
 */
import { wipe } from "../../crypto/release.ts";
import { shareMaskKey } from "../../rounds/masks.ts";
import { shareBytes } from "../../rounds/share.ts";
import type { CborValue } from "../../wire/codec.ts";
import { parseShape } from "../../wire/shape.ts";
import type { Channel, Context } from "../../wire/transport.ts";
import { depositHeaderShape } from "../messages.ts";
import type { ActiveDeposits } from "./active.ts";
import { burnUnsealed } from "./burn.ts";
import { loadDeposit } from "./deposit-record.ts";
import { ownReportKey, ownShare, requireOwnersPeer } from "./fingerprints.ts";
import type { CustodyProvider } from "./provider.ts";
import { runStep } from "./step.ts";

export async function testify(
  provider: CustodyProvider,
  active: ActiveDeposits,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const { tokenId } = parseShape(depositHeaderShape, header, "testify");
  const { terms, record } = await loadDeposit(provider.store, tokenId);
  requireOwnersPeer(terms, record.state, context);
  await runStep({ provider, active, tokenId, name: "testify", channel, context }, async () => {
    const { keystream } = provider.tools;
    const share = shareBytes(await ownShare(provider, terms), terms.descriptor.lengthBytes, keystream);
    const mask = keystream(shareMaskKey(ownReportKey(provider, terms)), 0);
    const masked = async function* () {
      for await (const bytes of share) {
        yield mask.xor(bytes);
        wipe(bytes);
      }
    };
    await channel.sendBody(masked());
    await burnUnsealed(provider, tokenId, "failed");
  });
}
