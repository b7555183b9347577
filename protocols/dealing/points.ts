/**
 * Which points of a deal are free and which are corrected. t values fix the polynomial, so t points need only a seed: the
 * user's (n+1), because the user should have to fetch nothing long, and 1..t-1. Points t..n are corrected.
 */

import { MAX_PROVIDERS, MIN_THRESHOLD } from "../rounds/constants.ts";
import { IntercloudError } from "../wire/errors.ts";

/** The user's point when there are `providers` providers. */
export function userPoint(providers: number): number {
  return providers + 1;
}

/** The t points whose share is the expanded seed alone, the user's first. */
export function freePoints(threshold: number, providers: number): number[] {
  return [userPoint(providers), ...range(1, threshold - 1)];
}

/** The n+1-t points whose share needs a correction, in ascending order. */
export function correctedPoints(threshold: number, providers: number): number[] {
  return range(threshold, providers);
}

export function isCorrected(point: number, threshold: number, providers: number): boolean {
  return point >= threshold && point <= providers;
}

/** @throws IntercloudError BAD_THRESHOLD unless 2 <= threshold <= providers <= 254. */
export function checkThreshold(threshold: number, providers: number): void {
  const whole = Number.isInteger(threshold) && Number.isInteger(providers);
  if (whole && threshold >= MIN_THRESHOLD && threshold <= providers && providers <= MAX_PROVIDERS) return;
  throw new IntercloudError(
    "BAD_THRESHOLD",
    "bad-request",
    `a threshold of ${threshold} of ${providers} providers is not possible; choose ${MIN_THRESHOLD} <= t <= n <= ${MAX_PROVIDERS}`,
  );
}

function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
}
