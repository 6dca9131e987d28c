/**
 * A NAT in memory, by the words of RFC 4787, and STUN servers beyond it. Time is the caller's: a datagram
 * arrives half a round trip after it was sent.
 */

import { type Endpoint, equalEndpoint, formatEndpoint } from '../../src/net/endpoint.js'
import { equalIp, formatIp } from '../../src/net/ip.js'
import type { Dependence } from '../../src/paths/nat.js'
import { changeRequest, decodeStun, encodeBindingAnswer } from '../../src/paths/stun.js'
import { ip } from './inner-packets.js'
import { seededRandom } from './seeded-random.js'

export interface SimulatedNatOptions {
  readonly mapping: Dependence
  readonly filtering: Dependence
  readonly ports: 'preserved' | 'sequential' | readonly [low: number, high: number]
  readonly hairpin?: boolean
  /** Outside; 203.0.113.1 if not given. */
  readonly address?: string
}

export function endpoint(address: string, port: number): Endpoint {
  return { address: ip(address), port, scopeId: 0 }
}

interface MappingEntry {
  readonly inside: Endpoint
  readonly outside: Endpoint
  readonly permitted: Endpoint[]
}

export class SimulatedNat {
  readonly #options: SimulatedNatOptions
  readonly #entries = new Map<string, MappingEntry>()
  readonly #random = seededRandom(1)
  #nextPort = 20_000

  constructor(options: SimulatedNatOptions) {
    this.#options = options
  }

  get isHard(): boolean {
    return this.#options.mapping !== 'endpointIndependent'
  }

  /** The source that the outside sees. */
  outbound(inside: Endpoint, remote: Endpoint): Endpoint {
    const key = `${formatEndpoint(inside)} ${scopeOf(this.#options.mapping, remote)}`
    const known = this.#entries.get(key)
    const entry = known ?? {
      inside,
      outside: endpoint(this.#options.address ?? '203.0.113.1', this.#newPort(inside)),
      permitted: [],
    }
    this.#entries.set(key, entry)
    entry.permitted.push(remote)
    return entry.outside
  }

  /** Where a datagram goes inside; undefined if it is filtered. */
  inbound(outside: Endpoint, remote: Endpoint): Endpoint | undefined {
    const { filtering } = this.#options
    const entry = [...this.#entries.values()].find((candidate) => equalEndpoint(candidate.outside, outside))
    const scope = scopeOf(filtering, remote)
    return entry?.permitted.some((other) => scopeOf(filtering, other) === scope) ? entry.inside : undefined
  }

  get turnsRound(): boolean {
    return this.#options.hairpin ?? false
  }

  #newPort(inside: Endpoint): number {
    const { ports } = this.#options
    if (ports === 'preserved') return inside.port
    if (ports === 'sequential') return this.#nextPort++
    const [low, high] = ports
    const [a = 0, b = 0] = this.#random(2)
    return low + ((a * 256 + b) % (high - low + 1))
  }
}

function scopeOf(dependence: Dependence, remote: Endpoint): string {
  if (dependence === 'endpointIndependent') return ''
  return dependence === 'addressDependent' ? formatIp(remote.address) : formatEndpoint(remote)
}

/** A server with two addresses and two ports each (RFC 5780), or with one address and port. */
export class SimulatedStunServer {
  readonly #first: Endpoint
  readonly #second: Endpoint | undefined

  constructor(first: Endpoint, second?: Endpoint) {
    this.#first = first
    this.#second = second
  }

  /** Undefined if `to` is not here. */
  answer(from: Endpoint, to: Endpoint, bytes: Uint8Array): { from: Endpoint; bytes: Uint8Array } | undefined {
    const corners = this.#corners()
    const request = decodeStun(bytes)
    if (request === undefined || !corners.some((corner) => equalEndpoint(corner, to))) return undefined
    const other = corners.find((corner) => !equalIp(corner.address, to.address) && corner.port !== to.port)
    const change = changeRequest(request)
    const source = corners.find(
      (corner) =>
        equalIp(corner.address, to.address) !== change.address && (corner.port === to.port) !== change.port,
    )
    if (source === undefined) return undefined
    const { transactionId } = request
    return {
      from: source,
      bytes: encodeBindingAnswer({ transactionId, mapped: from, ...(other && { other }) }),
    }
  }

  #corners(): Endpoint[] {
    const [first, second] = [this.#first, this.#second]
    if (second === undefined) return [first]
    return [first, second, { ...first, port: second.port }, { ...second, port: first.port }]
  }
}
