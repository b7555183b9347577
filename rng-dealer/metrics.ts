/** What a dealer counts. */
import type { DealOutcome } from "../protocols/dealing/index.ts";
import { type Metrics, SECONDS_BUCKETS } from "../runtime/metrics.ts";

export interface DealerMetrics {
  drawn(lengthBytes: number): void;
  dealt(outcome: DealOutcome): void;
}

export function createDealerMetrics(metrics: Metrics): DealerMetrics {
  const drawnBytes = metrics.counter("intercloud_dealer_drawn_bytes_total", "Random bytes drawn from the generator");
  const dealtBytes = metrics.counter(
    "intercloud_dealer_dealt_bytes_total",
    "Message bytes of the deals that succeeded",
  );
  const deals = metrics.counter("intercloud_dealer_deals_total", "Deals that ended, by result", ["result"]);
  const seconds = metrics.histogram("intercloud_dealer_deal_seconds", "How long deals took", SECONDS_BUCKETS);
  return {
    drawn: (lengthBytes) => drawnBytes.inc(lengthBytes),
    dealt({ lengthBytes, durationMs, result }) {
      deals.inc({ result });
      seconds.observe(durationMs / 1000);
      if (result === "ok") dealtBytes.inc(lengthBytes);
    },
  };
}
