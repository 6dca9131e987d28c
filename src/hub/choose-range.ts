/** Which range a new network gets where nobody chose one: a /16 that the hub's machine does not use. Pure. */

import { networkPrefix4 } from '../control/addresses.js'
import { type Prefix, prefixCovers } from '../net/prefix.js'

/** Ranges of 16 bits inside 100.64.0.0/10. */
const CHOICES = 64
/** A route as wide as this or wider leads to the internet or to a carrier, not to a network in use. */
const MIN_BITS = 10

/**
 * The first from `random` on that overlaps none of `busy`. Undefined if all are busy.
 */
export function chooseRange(random: number, busy: readonly Prefix[]): Prefix | undefined {
  for (let step = 0; step < CHOICES; step++) {
    const range = networkPrefix4((random + step) % CHOICES)
    if (overlapsWith(range, busy).length === 0) return range
  }
  return undefined
}

/** Those of `busy` that share addresses with `range`. */
export function overlapsWith(range: Prefix, busy: readonly Prefix[]): Prefix[] {
  return busy.filter(
    (prefix) => prefixCovers(range, prefix) || (prefix.bits > MIN_BITS && prefixCovers(prefix, range)),
  )
}
