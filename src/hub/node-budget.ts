/**
 * What one node may cost the others, by kind. It is the node's, not its connection's: coming back buys nothing.
 * INVARIANT: only enrolled nodes have an entry, so there are as many as nodes.
 */

import { type RateLimit, TokenBucket } from '../base/token-bucket.js'

export type Expense = 'hello' | 'keys' | 'news' | 'signal' | 'consent' | 'ping'

const LIMITS: Readonly<Record<Expense, RateLimit>> = {
  /** On a bad line a node comes back often; each time it is told of everybody. */
  hello: { tokensPerS: 0.2, burst: 20 },
  /** The shortest lifetime of a key is 10 s. Each change is verified, stored and told. */
  keys: { tokensPerS: 0.1, burst: 10 },
  /** Changes of it that are told to others at once; later ones are told together. */
  news: { tokensPerS: 0.2, burst: 6 },
  /** A node without a relay begins with a handshake and a call to each of its peers. */
  signal: { tokensPerS: 50, burst: 1000 },
  /** Each change is stored. */
  consent: { tokensPerS: 5, burst: 300 },
  /** One that is not answered makes a node dial anew: only a flood is passed over. */
  ping: { tokensPerS: 10, burst: 100 },
}

export class NodeBudgets {
  readonly #nowMs: () => number
  readonly #buckets = new Map<string, Map<Expense, TokenBucket>>()

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** 0 if it was taken; else the seconds, rounded up, until there will be one. */
  take(identity: string, expense: Expense): number {
    const nowMs = this.#nowMs()
    const bucket = this.#bucketOf(identity, expense, nowMs)
    return bucket.tryTake(1, nowMs) ? 0 : Math.max(1, Math.ceil(bucket.waitMs(1) / 1000))
  }

  forget(identity: string): void {
    this.#buckets.delete(identity)
  }

  #bucketOf(identity: string, expense: Expense, nowMs: number): TokenBucket {
    let buckets = this.#buckets.get(identity)
    if (buckets === undefined) {
      buckets = new Map()
      this.#buckets.set(identity, buckets)
    }
    const known = buckets.get(expense)
    if (known !== undefined) return known
    const bucket = new TokenBucket(LIMITS[expense], nowMs)
    buckets.set(expense, bucket)
    return bucket
  }
}
