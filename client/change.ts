/** Refresh and move of one deposit, with the user's own share kept in step when there is one (Protocol 2). */
import {
  type Changed,
  type ChangeOptions,
  type CustodyUser,
  changeDeposit,
} from "../protocols/custody/client/index.ts";
import { parseTokenText } from "../protocols/tokens/token-text.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import type { ShareStore } from "./shares.ts";

type Asked = Pick<ChangeOptions, "destination" | "dealer" | "signal" | "onPhase"> & { readonly tokenText: string };

export async function change(user: CustodyUser, shares: ShareStore, { tokenText, ...asked }: Asked): Promise<Changed> {
  const token = parseTokenText(tokenText);
  let left: Uint8Array | undefined;
  let fresh: Uint8Array | undefined;
  try {
    const changed = await changeDeposit(user, {
      ...{ ...asked, token },
      async keepUserShare(tokenId, { before, after }, share) {
        left = before;
        fresh = after;
        await shares.keep(tokenId, after, share);
      },
    });
    if (left !== undefined) await shares.remove(token.tokenId, left);
    return changed;
  } catch (error) {
    // It may be done after all: then the fresh share is the only good one.
    const isUnknown = error instanceof IntercloudError && error.code === "CHANGE_UNKNOWN";
    if (fresh !== undefined && !isUnknown) await shares.remove(token.tokenId, fresh);
    throw error;
  }
}
