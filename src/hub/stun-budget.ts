/**
 * Which questions a STUN server answers: so many of one port, so many of one address, so many in all. Pure.
 *
 * A survey of a NAT asks forty times and more from a few dozen ports, and a whole office may do so behind one address
 * on a Monday morning. So it is the port that gets little: that bounds what a forged source makes us send to a victim,
 * since there is one answer at most for a question. The rest bounds what answering costs this machine.
 *
 * Bounded: where there are too many sources to remember, the one that was heard of first gives way.
 */

import { type RateLimit, TokenBucket } from '../base/token-bucket.js'
import { type Endpoint, formatEndpoint } from '../net/endpoint.js'
import { formatIp, type IpAddress } from '../net/ip.js'
import { formatPrefix, maskPrefix } from '../net/prefix.js'

const PORT_LIMIT: RateLimit = { tokensPerS: 10, burst: 60 }
const ADDRESS_LIMIT: RateLimit = { tokensPerS: 1000, burst: 4000 }
/** An answer costs some 30 µs. */
const TOTAL_LIMIT: RateLimit = { tokensPerS: 5000, burst: 10_000 }
/** About 3 MB. */
const MAX_SOURCES = 16_384
/** Whoever has one address of a v6 /64 has them all. */
const V6_SHARE_BITS = 64

export class StunBudget {
  readonly #ports = new Map<string, TokenBucket>()
  readonly #addresses = new Map<string, TokenBucket>()
  #total: TokenBucket | undefined

  /** False if this question is to be passed over. */
  take(from: Endpoint, nowMs: number): boolean {
    const port = bucketOf(this.#ports, formatEndpoint(from), PORT_LIMIT, nowMs)
    const address = bucketOf(this.#addresses, shareOf(from.address), ADDRESS_LIMIT, nowMs)
    this.#total ??= new TokenBucket(TOTAL_LIMIT, nowMs)
    // The narrowest first: a port that asks too much takes nothing from its neighbours.
    return port.tryTake(1, nowMs) && address.tryTake(1, nowMs) && this.#total.tryTake(1, nowMs)
  }
}

function bucketOf(
  buckets: Map<string, TokenBucket>,
  key: string,
  limit: RateLimit,
  nowMs: number,
): TokenBucket {
  const known = buckets.get(key)
  if (known !== undefined) return known
  const bucket = new TokenBucket(limit, nowMs)
  buckets.set(key, bucket)
  const [oldest] = buckets.keys()
  if (buckets.size > MAX_SOURCES && oldest !== undefined) buckets.delete(oldest)
  return bucket
}

function shareOf(address: IpAddress): string {
  return address.family === 4 ? formatIp(address) : formatPrefix(maskPrefix({ address, bits: V6_SHARE_BITS }))
}
