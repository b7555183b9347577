/** Everything that a provider answers under the custody protocol. */
import type { Handlers } from "../../wire/transport.ts";
import { createActiveDeposits } from "./active.ts";
import { bind } from "./bind.ts";
import { abandon } from "./burn.ts";
import { collect, part } from "./collect.ts";
import { destroy } from "./destroy.ts";
import { grant, granted, grants } from "./grants.ts";
import { receiveCopy } from "./keep.ts";
import { pour } from "./pour.ts";
import type { CustodyProvider } from "./provider.ts";
import { hello, list, locate, ready, show } from "./queries.ts";
import { retrieve } from "./retrieve.ts";
import { seal } from "./seal.ts";

export { sweepDeposits } from "./burn.ts";
export type { CustodyEvent, CustodyLimits, CustodyProvider } from "./provider.ts";

export function custodyHandlers(provider: CustodyProvider): Handlers {
  const active = createActiveDeposits();
  return {
    asks: {
      hello: () => hello(provider),
      bind: (body, context) => bind(provider, body, context),
      seal: (body) => seal(provider, body),
      abandon: (body) => abandon(provider, active, body),
      ready: (body) => ready(provider, body),
      show: (body) => show(provider, body),
      list: (body) => list(provider, body),
      locate: (body, context) => locate(provider, body, context),
      grant: (body) => grant(provider, active, body),
      grants: (body) => grants(provider, body),
      granted: (body) => granted(provider, body),
      destroy: (body) => destroy(provider, active, body),
    },
    channels: {
      pour: (channel, header, context) => pour(provider, active, channel, header, context),
      collect: (channel, header, context) => collect(provider, active, channel, header, context),
      part: (channel, header, context) => part(provider, active, channel, header, context),
      copy: (channel, header, context) => receiveCopy(provider, active, channel, header, context),
      retrieve: (channel, header, context) => retrieve(provider, active, channel, header, context),
    },
  };
}
