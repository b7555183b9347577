/**
 * Metrics in Prometheus' terms, in a registry of their own: several nodes may live in one process.
 * Names: `intercloud_`, what is measured, the unit; counters end in `_total`. Labels take few, fixed values, never a peer's text.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export interface Metrics {
  /** Counts up. The name ends in `_total`. */
  counter<const L extends string = never>(name: string, help: string, labels?: readonly L[]): Counter<L>;
  /** Goes up and down. `read`, if given, is asked whenever somebody looks. */
  gauge<const L extends string = never>(
    name: string,
    help: string,
    options?: { readonly labels?: readonly L[]; readonly read?: () => number },
  ): Gauge<L>;
  /** A distribution of times or sizes. The name ends in `_seconds` or `_bytes`. */
  histogram<const L extends string = never>(
    name: string,
    help: string,
    buckets: readonly number[],
    labels?: readonly L[],
  ): Histogram<L>;
  /** All metrics in the text format of Prometheus, with the process's own (memory, event loop lag, open files). */
  text(): Promise<string>;
  readonly contentType: string;
}

/** Times of requests: from a millisecond to a minute. */
export const SECONDS_BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60] as const;

const COUNTER_NAME = /^intercloud_[a-z0-9_]+_total$/;
const GAUGE_NAME = /^intercloud_[a-z0-9_]+(?<!_total)$/;
const HISTOGRAM_NAME = /^intercloud_[a-z0-9_]+_(seconds|bytes)$/;

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  // The lag is sampled; every 100 ms is fine enough and costs an idle node nothing that can be seen.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
  return {
    counter(name, help, labels = []) {
      assertName(name, COUNTER_NAME);
      return new Counter({ name, help, labelNames: labels, registers });
    },
    gauge(name, help, { labels = [], read } = {}) {
      assertName(name, GAUGE_NAME);
      const gauge: Gauge<(typeof labels)[number]> = new Gauge({
        name,
        help,
        labelNames: labels,
        registers,
        ...(read === undefined ? {} : { collect: () => gauge.set(read()) }),
      });
      return gauge;
    },
    histogram(name, help, buckets, labels = []) {
      assertName(name, HISTOGRAM_NAME);
      return new Histogram({ name, help, labelNames: labels, buckets: [...buckets], registers });
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

/** A mistake of ours in the code, so a plain error. */
function assertName(name: string, pattern: RegExp): void {
  if (!pattern.test(name)) throw new TypeError(`the metric name ${name} does not match ${pattern}`);
}
