import { MAX_MESSAGE_BYTES } from "../tokens/constants.ts";

export const CUSTODY_PROTOCOL = "/intercloud/custody/1.0.0";

/** One small question to a provider on the same continent takes far less; a busy disk may need some of it for a sync. */
export const ASK_TIMEOUT_MS = 10_000;

/** Dialling, encrypting and opening a stream: three round trips on a new connection. */
export const OPEN_TIMEOUT_MS = 5_000;

/** Sealing syncs to disk at every provider; a client waits this long for each before it gives the deposit up. */
export const SEAL_TIMEOUT_MS = 30_000;

/** Who waits for the chain hears this often that it is still to come, far below a channel's idle timeout. */
export const WAITING_INTERVAL_MS = 2_000;

/** How long a signed request is good for. */
export const REQUEST_LIFETIME_MS = 2 * 60_000;

/** A slow disk: each provider reads its share again, and the keepers the ciphertext, when the owner checks a long deposit. */
export const CHECK_BYTES_PER_SECOND = 8 * 1024 * 1024;

/** Clients that list deposits get this many at a time: 200 tokens of 600 bytes fit one control message well. */
export const LIST_PAGE = 200;

/** Room that a provider keeps free on its disk, so that it can always still write records. */
export const RESERVED_DISK_BYTES = 64 * 1024 * 1024;

/** Refused retrievals that are written into the audit log one by one: 50 MB a day at most, whatever strangers do. */
export const LOGGED_REFUSALS_PER_SECOND = 1;
export const LOGGED_REFUSALS_AT_ONCE = 100;

/** A sealed proof: manifest, n links and three signed statements, and the last change; about 400 KB for 254 providers. */
export const MAX_PROOF_BYTES = 768 * 1024;

/** The proof of a change: a manifest, a round, a statement of each member and a receipt of each new provider. */
export const MAX_CHANGE_PROOF_BYTES = 512 * 1024;

/** Refreshed every minute, a deposit gets here after 8,000 years. */
export const MAX_GENERATION = 2 ** 32 - 1;

/** The statement of a new home names everybody who sent a part, 508 at most, with a digest each: 60 KB. */
export const MAX_STATEMENT_BYTES = 64 * 1024;

/** What one provider signs in a change: a few digests, names and numbers. */
export const MAX_HOLDING_BYTES = 1024;

/**
 * How long a change may take before its round starts to move bytes, and after. Providers hold the fresh deal bound until then. So long
 * we wait for anything whose sender says that it is still to come.
 */
export const CHANGE_LIFETIME_MS = 10 * 60_000;
/** A slow link, so that these times grow with what is moved. */
export const CHANGE_BYTES_PER_SECOND = 256 * 1024;

/** A page of proofs that fits a control message together with the one that would be too much. */
export const MAX_RESTORE_PAGE_BYTES = 128 * 1024;
/** Records that are looked at for one page: a tenth of a second of work. */
export const RESTORE_SCAN = 200;

/** The blocks that cover what is answered at a time: a block of the message, 512 KiB of block digests in front of the first, and the ends. */
export const MAX_EXCERPT_BYTES = 4 * 1024 * 1024;

/** Identities that one deposit is granted to: the whole list, 80 KB at most, travels with every change of it. */
export const MAX_GRANTS = 256;

/** A signed list of grants, its tag included. */
export const MAX_GRANT_LIST_BYTES = 96 * 1024;

/** A receipt is two digests, a name and a time. */
export const MAX_RECEIPT_BYTES = 1024;

/** An owner's request to destroy a deposit: its tag, and the id of the token. */
export const MAX_DESTROY_REQUEST_BYTES = 4 * 1024;

/** Token, manifest, the proof of the last change, the owner's request and one receipt. */
export const MAX_DESTROYED_BYTES = 640 * 1024;

/** A round of this length travels in messages on the control stream, which saves round trips; opening streams pays off above. */
export const MAX_SHORT_BYTES = 64 * 1024;

/** From the owner's message to a provider until the parts of all others have come there: they are on their way already. */
export const PARTS_TIMEOUT_MS = 10_000;

/**
 * Short deposits that are under way at a provider, and bytes in them: a few seconds of work. More than it can do in time would end
 * in timeouts, and then in nothing at all.
 */
export const MAX_SHORT_DEPOSITS = 512;
export const MAX_SHORT_DEPOSIT_BYTES = 64 * 1024 * 1024;
/** Of these, what one other provider may have sent before the owner's message came. */
export const MAX_EARLY_BYTES = 16 * 1024 * 1024;
/** From the owner's first message to its second; both sides time out before. */
export const SHORT_DEPOSIT_LIFETIME_MS = 30_000;

/** An age file is its message, 16 bytes for each 64 KiB of it, and a header. */
export const ENVELOPE_HEAD_BYTES = 1024 * 1024;
export const MAX_ENVELOPE_BYTES = MAX_MESSAGE_BYTES + MAX_MESSAGE_BYTES / 2 ** 12 + ENVELOPE_HEAD_BYTES;

/** What an envelope is made of may rest, as a pipe does: the next one is told so often, far below a channel's idle timeout. */
export const ENVELOPE_KEEP_ALIVE_MS = 5_000;

/** How many bytes of an envelope come in between two looks at the free disk: less than the node keeps in reserve. */
export const ROOM_CHECK_BYTES = 16 * 1024 * 1024;

/** Lots that are under way at a provider: each takes up to 24 MiB of memory at a keeper. */
export const MAX_LOTS_UNDER_WAY = 16;
/** From the owner's first message about a lot to its last; larger than what the longest lot takes on a slow machine. */
export const LOT_LIFETIME_MS = 2 * 60_000;
/** One step of a lot, all of its bytes included. */
export const LOT_STEP_TIMEOUT_MS = 60_000;
