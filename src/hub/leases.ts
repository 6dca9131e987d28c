/**
 * Which IPv4 address a node gets: the first free one from where its identity points, so that a node that
 * enrols anew most likely gets what it had, and a hub without memory spreads them.
 */

import { formatIp, ipFromBytes } from '../net/ip.js'
import { type Prefix, prefixContains } from '../net/prefix.js'

export interface LeaseLimits {
  isTaken(address: string): boolean
  /** Prefixes that the node sees by itself. */
  readonly foreign: readonly Prefix[]
}

/** `pool`: an IPv4 prefix of at most 30 bits. Undefined if none is left. */
export function tryFindLease(pool: Prefix, identity: Uint8Array, limits: LeaseLimits): string | undefined {
  const view = new DataView(new Uint8Array(pool.address.bytes).buffer)
  const base = view.getUint32(0)
  // Neither the first address, which names the network, nor the last, which is its broadcast.
  const count = 2 ** (32 - pool.bits) - 2
  const start = new DataView(identity.buffer, identity.byteOffset, 4).getUint32(0) % count
  for (let step = 0; step < count; step++) {
    const value = base + 1 + ((start + step) % count)
    const bytes = Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
    const address = ipFromBytes(bytes)
    if (limits.foreign.some((prefix) => prefixContains(prefix, address))) continue
    const text = formatIp(address)
    if (!limits.isTaken(text)) return text
  }
  return undefined
}
