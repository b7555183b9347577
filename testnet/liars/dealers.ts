/** Lies of dealers. */
import { sealTo } from "../../protocols/crypto/sealed-box.ts";
import { DEALING_PROTOCOL, PROGRESS_INTERVAL_MS } from "../../protocols/dealing/constants.ts";
import {
  checkManifest,
  encodeManifest,
  MANIFEST_DOMAIN,
  type Manifest,
  userEntry,
} from "../../protocols/dealing/manifest.ts";
import { dealRequestShape, sealedSeedContext } from "../../protocols/dealing/messages.ts";
import type { DealServerOptions } from "../../protocols/dealing/server.ts";
import { uncheckedContent } from "../../protocols/identity/request.ts";
import { DEAL_ID_BYTES } from "../../protocols/rounds/constants.ts";
import { SEED_BYTES } from "../../protocols/rounds/share.ts";
import { encodeCanonical } from "../../protocols/wire/codec.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import { pause } from "../../protocols/wire/pause.ts";
import { parseShape } from "../../protocols/wire/shape.ts";
import type { Handlers, Transport } from "../../protocols/wire/transport.ts";
import { fieldsOf, isBytes } from "./asked.ts";
import { answering, bent, spoil } from "./bend.ts";
import type { DealerLie, Liar } from "./lie.ts";
import { babbling, otherShapes, silent } from "./streams.ts";

type LyingDealer = Liar<DealServerOptions>;

/** The share of one provider lies on no polynomial with the others; the manifest says it as it is. */
function noPolynomial({ honest, entropy, lied }: LyingDealer): Partial<DealServerOptions> {
  const { kernel } = honest;
  return {
    kernel: {
      ...kernel,
      combineInto(outputs, sources, rows) {
        kernel.combineInto(outputs, sources, rows);
        const last = outputs.at(-1);
        if (last === undefined || last.length === 0) return;
        spoil(last, entropy);
        lied();
      },
    },
  };
}

/** Delivers another manifest than the one that it made. @param change undefined leaves it as it is */
function otherManifests(
  { honest: { transport, signer }, lied }: LyingDealer,
  change: (manifest: Manifest, to: string) => Manifest | undefined,
): Transport {
  return {
    ...transport,
    async ask(to, protocol, method, body, options) {
      const { manifest: signed, ...rest } = fieldsOf(body);
      const isDelivery = protocol === DEALING_PROTOCOL && method === "deliver" && isBytes(signed);
      const other = isDelivery ? change(checkManifest(signed), to) : undefined;
      if (other === undefined) return await transport.ask(to, protocol, method, body, options);
      lied(method);
      const manifestBody = encodeManifest(other);
      const manifest = encodeCanonical({ body: manifestBody, signature: signer.sign(MANIFEST_DOMAIN, manifestBody) });
      return await transport.ask(to, protocol, method, { ...rest, manifest }, options);
    },
  };
}

/** To the last provider, the same deal as of a moment later. */
function twoManifests(dealer: LyingDealer): Transport {
  return otherManifests(dealer, (manifest, to) => {
    const isLast = manifest.shares.at(-2)?.peer === to;
    return isLast ? { ...manifest, createdAtMs: manifest.createdAtMs + 1 } : undefined;
  });
}

/** To everybody, a manifest in which the share of the first provider has another digest. */
function wrongDigests(dealer: LyingDealer): Transport {
  return otherManifests(dealer, (manifest) => {
    const [first, ...others] = manifest.shares;
    const digest = first!.digest.map((byte) => byte ^ 1);
    return { ...manifest, shares: [{ ...first!, digest }, ...others] };
  });
}

/** Every deal has the id of the first one. */
function sameDealId({ honest: { entropy }, lied }: LyingDealer): Partial<DealServerOptions> {
  let first: Uint8Array | undefined;
  return {
    entropy(lengthBytes) {
      if (lengthBytes !== DEAL_ID_BYTES) return entropy(lengthBytes);
      if (first === undefined) {
        first = entropy(lengthBytes);
      } else {
        lied();
      }
      return first.slice();
    },
  };
}

/** The user gets another seed than the one that was dealt, sealed as it should be. */
function wrongSeed({ entropy, lied }: LyingDealer, made: Handlers): Handlers {
  return answering(made, {
    "deal-short": (honest) => async (body, context) => {
      const said = fieldsOf(await honest(body, context));
      const { request } = fieldsOf(body);
      if (!isBytes(said["manifest"]) || !isBytes(request)) return said;
      const { ephemeralKey } = parseShape(dealRequestShape, uncheckedContent(request), "deal request");
      const manifest = checkManifest(said["manifest"]);
      const sealedTo = sealedSeedContext(manifest.dealId, userEntry(manifest).point);
      lied();
      return { ...said, sealedSeed: sealTo(ephemeralKey, sealedTo, entropy(SEED_BYTES), entropy) };
    },
  });
}

/** Says that it is dealing, and never ends. */
function endless({ clock, lied }: LyingDealer, made: Handlers): Handlers {
  return bent(made, {
    channel: () => async (channel, _header, context) => {
      lied();
      while (!context.signal.aborted) {
        await channel.sendMessage({ dealtBytes: 0 });
        await pause(clock, PROGRESS_INTERVAL_MS, context.signal);
      }
    },
  });
}

/** Says that a provider that did nothing wrong could not take its share. */
function framing({ lied }: LyingDealer, made: Handlers): Handlers {
  let lastPeers: readonly string[] = [];
  const frame = () => {
    lied();
    return new IntercloudError("PROVIDERS_FAILED", "unreachable", "a lie", { peers: lastPeers });
  };
  return bent(made, {
    ask: (honest) => async (body, context) => {
      const said = await honest(body, context);
      const { manifest } = fieldsOf(said);
      if (isBytes(manifest)) lastPeers = [checkManifest(manifest).shares[0]!.peer];
      throw frame();
    },
    channel: () => async () => {
      throw frame();
    },
  });
}

export const DEALER_LIES: readonly DealerLie[] = [
  {
    name: "no-polynomial",
    about: "deals one provider a share that does not belong to the others",
    isNamed: true,
    begin: (dealer) => ({ parts: noPolynomial(dealer) }),
  },
  {
    name: "two-manifests",
    about: "gives one provider another manifest of the deal than the others and the user",
    isNamed: false,
    begin: (dealer) => ({ parts: { transport: twoManifests(dealer) } }),
  },
  {
    name: "wrong-manifest",
    about: "signs another digest of a share than that of the one that it dealt",
    isNamed: false,
    begin: (dealer) => ({ parts: { transport: wrongDigests(dealer) } }),
  },
  {
    name: "same-deal-id",
    about: "gives every deal the id of its first one",
    isNamed: false,
    begin: (dealer) => ({ parts: sameDealId(dealer) }),
  },
  {
    name: "wrong-seed",
    about: "gives the user another seed than the one that it dealt, in a short deal",
    isNamed: true,
    begin: (dealer) => ({ handlers: (made) => wrongSeed(dealer, made) }),
  },
  {
    name: "dealer-silent",
    about: "takes every request for a deal and never answers",
    isNamed: false,
    begin: (dealer) => ({ handlers: (made) => silent(made, dealer, () => true) }),
  },
  {
    name: "dealer-endless",
    about: "says that it is dealing, and goes on saying so, when a deal is long",
    isNamed: false,
    begin: (dealer) => ({ handlers: (made) => endless(dealer, made) }),
  },
  {
    name: "dealer-garbage",
    about: "makes the deal, and answers with random bytes",
    isNamed: false,
    begin: (dealer) => ({
      handlers: (made) =>
        bent(
          made,
          babbling(dealer, () => true, { value: () => dealer.entropy(64) }),
        ),
    }),
  },
  {
    name: "dealer-wrong-shape",
    about: "makes the deal, and answers with messages that are well formed and mean nothing",
    isNamed: false,
    begin: (dealer) => ({
      handlers: (made) =>
        bent(
          made,
          babbling(dealer, () => true, { value: otherShapes(dealer) }),
        ),
    }),
  },
  {
    name: "dealer-frames-others",
    about: "makes the deal, and says that a provider could not take its share",
    isNamed: false,
    begin: (dealer) => ({ handlers: (made) => framing(dealer, made) }),
  },
];
