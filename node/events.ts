/** What a node counts and logs. Token ids appear as short prefixes; no secret and no text of a peer is ever a field or a label. */
import type { CustodyEvent } from "../protocols/custody/server/index.ts";
import { IntercloudError, type Status } from "../protocols/wire/errors.ts";
import type { Log } from "../runtime/log.ts";
import { type Metrics, SECONDS_BUCKETS } from "../runtime/metrics.ts";

/** 32 bits: enough to find a deposit's lines in a log, too little to ask for it. */
const SHOWN_TOKEN_BYTES = 4;

/** From one sync of a fast disk to a disk that is drowning. */
const COMMIT_BUCKETS = [0.0005, 0.001, 0.005, 0.02, 0.1, 0.5, 2, 10];

/** What can be read from the node whenever somebody looks. */
export interface NodeReadings {
  connectedPeers(): number;
  dhtPeers(): number;
  storeRecords(): number;
  auditEntries(): number;
  unbound(): { readonly deals: number; readonly bytes: number };
}

export interface NodeEvents {
  readonly onCustodyEvent: (event: CustodyEvent) => void;
  readonly onFault: (error: unknown, requestId: string) => void;
  /** An ask or channel was answered. */
  readonly onAnswer: (protocol: string, method: string, status: Status | "ok", durationSeconds: number) => void;
  readonly onCommit: (durationSeconds: number) => void;
  readonly onPurge: (durationSeconds: number) => void;
  readonly onDisk: (freeBytes: number) => void;
  readonly onBodies: (lengthBytes: number) => void;
}

export function createNodeEvents(log: Log, metrics: Metrics, version: string, readings: NodeReadings): NodeEvents {
  const deposits = metrics.counter("intercloud_deposits_total", "Steps that deposits took here.", ["event"]);
  const servedBytes = metrics.counter("intercloud_served_bytes_total", "Bytes sent in answer to retrievals.");
  const answers = metrics.counter("intercloud_answers_total", "Asks and channels answered, by outcome.", [
    "protocol",
    "method",
    "status",
  ]);
  const answerTime = metrics.histogram(
    "intercloud_answer_seconds",
    "Time from an ask or the opening of a channel to its end.",
    SECONDS_BUCKETS,
    ["protocol", "method"],
  );
  const faults = metrics.counter("intercloud_faults_total", "Answers that failed by a fault of ours; each is logged.");
  const commitTime = metrics.histogram(
    "intercloud_store_commit_seconds",
    "Time until a change of the store was synced to disk.",
    COMMIT_BUCKETS,
  );
  const purges = metrics.counter(
    "intercloud_store_purges_total",
    "Times the store's files were rewritten after burns.",
  );
  const disk = metrics.gauge("intercloud_disk_free_bytes", "Free space on the disk of the store.");
  const bodies = metrics.gauge(
    "intercloud_store_body_bytes",
    "Bytes of ciphertexts, envelopes and corrections, counted now and then.",
  );
  metrics.gauge("intercloud_store_records", "Records in the store.", { read: readings.storeRecords });
  metrics.gauge("intercloud_audit_entries", "Entries of the audit log.", { read: readings.auditEntries });
  metrics.gauge("intercloud_unbound_deals", "Deals that nobody has used yet, as the last sweep left them.", {
    read: () => readings.unbound().deals,
  });
  metrics.gauge("intercloud_unbound_bytes", "What these deals may take here.", {
    read: () => readings.unbound().bytes,
  });
  metrics.gauge("intercloud_connected_members", "Members of the federation that are connected.", {
    read: readings.connectedPeers,
  });
  metrics.gauge("intercloud_dht_peers", "Nodes in the routing table of the DHT.", { read: readings.dhtPeers });
  metrics
    .gauge("intercloud_build_info", "Always 1; the labels say what runs.", { labels: ["version", "node"] })
    .set({ version, node: process.versions.node }, 1);

  return {
    onCustodyEvent(event) {
      deposits.inc({ event: event.kind });
      const token = Buffer.from(event.tokenId.subarray(0, SHOWN_TOKEN_BYTES)).toString("hex");
      if (event.kind === "served") {
        servedBytes.inc(event.lengthBytes);
        log.debug("deposit-served", { token, lengthBytes: event.lengthBytes });
      } else {
        log.debug(`deposit-${event.kind}`, { token });
      }
    },
    onFault(error, requestId) {
      faults.inc();
      log.error("request-failed", { requestId, error: error instanceof Error ? error : new Error("no error") });
    },
    onAnswer(protocol, method, status, durationSeconds) {
      answers.inc({ protocol, method, status });
      answerTime.observe({ protocol, method }, durationSeconds);
      log.debug("answered", { protocol, method, status, durationMs: Math.round(durationSeconds * 1000) });
    },
    onCommit: (durationSeconds) => commitTime.observe(durationSeconds),
    onPurge(durationSeconds) {
      purges.inc();
      log.info("store-purged", { durationMs: Math.round(durationSeconds * 1000) });
    },
    onDisk: (freeBytes) => disk.set(freeBytes),
    onBodies: (lengthBytes) => bodies.set(lengthBytes),
  };
}

/** How an answer ended, as the peer is told it. */
export function statusOf(error: unknown): Status {
  return error instanceof IntercloudError ? error.status : "internal";
}
