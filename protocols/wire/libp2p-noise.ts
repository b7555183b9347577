/**
 * libp2p's Noise with our ciphers. Behind each packet it looks for the length of the next one, and that there is none yet is an error that it
 * throws and catches: finding out where it was thrown takes longer than to open a short packet. Here it is one error that is made once.
 */
import type { ConnectionEncrypter } from "@libp2p/interface";
import { noise } from "@libp2p/noise";
import type { Uint8ArrayList } from "uint8arraylist";
import { noiseCrypto } from "./noise-crypto.ts";

type NoiseComponents = Parameters<ReturnType<typeof noise>>[0];

export function quietNoise(): (components: NoiseComponents) => ConnectionEncrypter {
  const create = noise({ crypto: noiseCrypto });
  return (components) => {
    const encrypter = create(components);
    const secureInbound = encrypter.secureInbound.bind(encrypter);
    const secureOutbound = encrypter.secureOutbound.bind(encrypter);
    encrypter.secureInbound = async (connection, options) => quieted(await secureInbound(connection, options));
    encrypter.secureOutbound = async (connection, options) => quieted(await secureOutbound(connection, options));
    return encrypter;
  };
}

/** What is inside of libp2p's secured connection. */
interface NoiseConnection {
  readonly decoder: { lengthDecoder: (data: Uint8Array | Uint8ArrayList) => number };
}

function quieted<T extends { readonly connection: unknown }>(secured: T): T {
  const { decoder } = secured.connection as NoiseConnection;
  decoder.lengthDecoder = packetLength;
  return secured;
}

const LENGTH_BYTES = 2;
/** The decoder takes any error of this kind for "not yet". */
const NOT_YET = new RangeError("the length of the next packet is not here yet");

function packetLength(data: Uint8Array | Uint8ArrayList): number {
  if (data.byteLength < LENGTH_BYTES) throw NOT_YET;
  return data instanceof Uint8Array ? data[0]! * 256 + data[1]! : data.getUint16(0);
}
