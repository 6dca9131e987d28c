/** How seldom something may be sent over an idle mapping of a NAT for it to stay. */

const SHARE = 0.8
/** Longer is not asked for, however long a NAT keeps its mappings. */
export const MAX_KEEPALIVE_MS = 110_000

/** `lifetimeMs`: of an idle mapping, if it is known; `usualMs`: the interval while it is not. */
export function keepaliveMs(lifetimeMs: number | undefined, usualMs: number): number {
  if (lifetimeMs === undefined) return usualMs
  const longestMs = Math.min(MAX_KEEPALIVE_MS, SHARE * lifetimeMs)
  // The usual interval holds what lives longer, if not by as much as one would like.
  return lifetimeMs > usualMs ? Math.max(usualMs, longestMs) : longestMs
}
