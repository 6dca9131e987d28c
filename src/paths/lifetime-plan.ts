/**
 * When to find out for how long this node's NAT keeps an idle mapping, and for how long what was found is
 * true. Pure but for what it remembers; sockets and time are its caller's.
 *
 * It begins with the first path over the NAT, and what was found holds for the address that the NAT showed.
 * When the NAT maps the same socket elsewhere, it has forgotten it: then nothing is believed any more.
 */

import { formatEndpoint } from '../net/endpoint.js'
import { formatIp } from '../net/ip.js'
import { formatPrefix } from '../net/prefix.js'
import type { OwnPosition } from './finder-types.js'

/** Between the beginnings of two attempts. */
const MIN_INTERVAL_MS = 600_000
/** Places whose NATs are remembered. */
const MAX_KNOWN = 32

export class LifetimePlan {
  /** By outside address; undefined where it could not be found out. */
  readonly #known = new Map<string, number | undefined>()
  #own: OwnPosition | undefined
  /** Where this node is; empty while that is not known, or without a NAT. */
  #place = ''
  #address = ''
  #isNeeded = false
  #isRunning = false
  #nextStartMs = Number.NEGATIVE_INFINITY

  /** A path over the NAT carries data. */
  need(): void {
    this.#isNeeded = true
  }

  /** True if the place is another one: what was believed is not true, and what runs is in vain. */
  setPosition(own: OwnPosition): boolean {
    if (own === this.#own) return false
    this.#own = own
    const outside = own.candidates
      .filter(({ kind, endpoint }) => kind === 'reflexive' && endpoint.address.family === 4)
      .map(({ endpoint }) => endpoint)
    // While no server answers, nothing is known to have changed.
    if (outside.length === 0) return false
    const address = [...new Set(outside.map((endpoint) => formatIp(endpoint.address)))].sort().join()
    const inside = own.prefixes.map(formatPrefix).sort()
    const place =
      own.mapping === 'none' ? '' : [...outside.map(formatEndpoint).sort(), ...inside, own.sockets.v4].join()
    if (place === this.#place) return false
    if (address === this.#address) this.#known.delete(address)
    this.#place = place
    this.#address = address
    this.#isRunning = false
    return true
  }

  /** Of the place where this node is; undefined if it is not known. */
  get lifetimeMs(): number | undefined {
    return this.#place === '' ? undefined : this.#known.get(this.#address)
  }

  /** Whether to begin now; then `finished` is due, unless the place changes. */
  takeStart(nowMs: number): boolean {
    const isWanted = this.#isNeeded && !this.#isRunning && this.#place !== ''
    if (!isWanted || this.#known.has(this.#address) || nowMs < this.#nextStartMs) return false
    this.#isRunning = true
    this.#nextStartMs = nowMs + MIN_INTERVAL_MS
    return true
  }

  finished(lifetimeMs: number | undefined): void {
    this.#isRunning = false
    if (this.#known.size >= MAX_KNOWN) this.#known.clear()
    this.#known.set(this.#address, lifetimeMs)
  }
}
