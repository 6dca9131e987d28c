/**
 * Which IPv4 address a node gets: the first free one from where its identity points, so that a node that
 * enrols anew most likely gets what it had, and a hub without memory spreads them.
 */

import { formatIp, ipFromBytes, tryParseIp } from '../net/ip.js'
import type { Prefix } from '../net/prefix.js'

/** The IPv4 addresses of a network, as numbers: who has one, and which is free. */
export class Leases {
  readonly #first: number
  readonly #count: number
  readonly #taken = new Set<number>()

  /** `pool`: an IPv4 prefix of at most 30 bits. */
  constructor(pool: Prefix) {
    // Neither the first address, which names the network, nor the last, which is its broadcast.
    this.#first = numberOf(pool.address.bytes) + 1
    this.#count = 2 ** (32 - pool.bits) - 2
  }

  has(address: string): boolean {
    const number = tryNumber(address)
    return number !== undefined && this.#taken.has(number)
  }

  add(address: string): void {
    const number = tryNumber(address)
    if (number !== undefined) this.#taken.add(number)
  }

  delete(address: string): void {
    const number = tryNumber(address)
    if (number !== undefined) this.#taken.delete(number)
  }

  /**
   * `foreign`: IPv4 prefixes that the node sees by itself. Undefined if nothing else is free. Costs a look at
   * each of `foreign` and at each address that is taken, however large the pool is.
   */
  tryFind(identity: Uint8Array, foreign: readonly Prefix[]): string | undefined {
    const start = this.#first + (numberOf(identity) % this.#count)
    const end = this.#first + this.#count
    const spans = orderedSpans(foreign)
    const number = this.#firstFree(start, end, spans) ?? this.#firstFree(this.#first, start, spans)
    return number === undefined ? undefined : format(number)
  }

  #firstFree(start: number, end: number, spans: readonly Span[]): number | undefined {
    let next = start
    for (const span of spans) {
      if (span.end <= next) continue
      for (; next < Math.min(span.start, end); next++) if (!this.#taken.has(next)) return next
      next = Math.max(next, span.end)
    }
    for (; next < end; next++) if (!this.#taken.has(next)) return next
    return undefined
  }
}

/** `end` is not in it. */
interface Span {
  readonly start: number
  readonly end: number
}

/** In order. */
function orderedSpans(prefixes: readonly Prefix[]): Span[] {
  return prefixes
    .filter(({ address }) => address.family === 4)
    .map(({ address, bits }) => {
      const size = 2 ** (32 - bits)
      const start = Math.floor(numberOf(address.bytes) / size) * size
      return { start, end: start + size }
    })
    .sort((a, b) => a.start - b.start)
}

function tryNumber(address: string): number | undefined {
  const ip = tryParseIp(address)
  return ip?.family === 4 ? numberOf(ip.bytes) : undefined
}

function numberOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(0)
}

function format(number: number): string {
  return formatIp(ipFromBytes(Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number)))
}
