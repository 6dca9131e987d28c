/**
 * A NAT in memory, by the words of RFC 4787, and STUN servers beyond it. Time is the caller's: a datagram
 * arrives half a round trip after it was sent.
 */

import { answerStun } from '../../src/hub/stun-answer.js'
import { type Endpoint, equalEndpoint, formatEndpoint } from '../../src/net/endpoint.js'
import { formatIp, type IpAddress } from '../../src/net/ip.js'
import type { Dependence } from '../../src/paths/nat.js'
import { ip } from './inner-packets.js'
import { seededRandom } from './seeded-random.js'

export interface SimulatedNatOptions {
  readonly mapping: Dependence
  readonly filtering: Dependence
  readonly ports: 'preserved' | 'sequential' | readonly [low: number, high: number]
  readonly hairpin?: boolean
  /**
   * What nobody asked for is answered by the router itself: then that port is taken for whoever sent it, and what goes
   * there from inside leaves from another one, as does all that this inside begins later. As Linux has it.
   */
  readonly answers?: boolean
  /** Outside; 203.0.113.1 if not given. */
  readonly address?: string
  /** Of idle mappings; for ever if not given. */
  readonly lifetime?: MappingLifetime
  /** From one endpoint to another, within half a minute: what would be one more is dropped. */
  readonly maxSessions?: number
  /** Between two ports in order; 1 if not given. */
  readonly step?: number
  /** Others behind it take so many ports in order, all the time. */
  readonly foreignFlowsPerS?: number
  /** From the node; 1 if not given. */
  readonly hops?: number
}

export interface MappingLifetime {
  readonly ms: number
  /** Of a mapping over which nothing went out later than 2 s after its first answer; as Linux has it. */
  readonly youngMs: number
}

export function endpoint(address: string, port: number): Endpoint {
  return { address: ip(address), port, scopeId: 0 }
}

const FIRST_PORT = 20_000
/** Instead of those that are taken, in order. */
const FIRST_TAKEN_PORT = 1999
const SESSION_MS = 30_000

interface MappingEntry {
  readonly inside: Endpoint
  readonly outside: Endpoint
  readonly permitted: Endpoint[]
  readonly createdMs: number
  lastMs: number
  isAnswered: boolean
  isOld: boolean
}

export class SimulatedNat {
  readonly #options: SimulatedNatOptions
  readonly #nowMs: () => number
  readonly #entries = new Map<string, MappingEntry>()
  /** When something went out last, if their number is limited. */
  readonly #sessions = new Map<string, number>()
  /** Flows of the router itself, from one of its ports to whom it has answered. */
  readonly #taken = new Set<string>()
  /** Where the latest flow of each inside left, once one of them had to leave elsewhere. */
  readonly #latest = new Map<string, number>()
  readonly #random = seededRandom(1)
  #nextPort = FIRST_PORT
  #foreignFlows = 0

  /** `nowMs`: needed if mappings have a lifetime. */
  constructor(options: SimulatedNatOptions, nowMs: () => number = () => 0) {
    this.#options = options
    this.#nowMs = nowMs
  }

  get hops(): number {
    return this.#options.hops ?? 1
  }

  get isHard(): boolean {
    return this.#options.mapping !== 'endpointIndependent'
  }

  /** Sessions that it would keep beside those that there are. */
  get room(): number {
    const { maxSessions } = this.#options
    if (maxSessions === undefined) return Number.POSITIVE_INFINITY
    for (const [key, atMs] of this.#sessions) {
      if (this.#nowMs() - atMs > SESSION_MS) this.#sessions.delete(key)
    }
    return maxSessions - this.#sessions.size
  }

  /** Whether it keeps one more session, or has this one already. */
  hasRoom(inside: Endpoint, remote: Endpoint): boolean {
    return this.room > 0 || this.#sessions.has(sessionOf(inside, remote))
  }

  /** The source that the outside sees. */
  outbound(inside: Endpoint, remote: Endpoint): Endpoint {
    const from = formatEndpoint(inside)
    const before = `${from} ${scopeOf(this.#options.mapping, remote)}`
    const isKept = this.#entries.get(before)?.permitted.some((other) => equalEndpoint(other, remote)) ?? false
    if (this.#options.answers === true && !isKept) this.#avoidTaken(inside, remote)
    const latest = this.#latest.get(from)
    const key = latest === undefined || isKept ? before : `${from} ${formatEndpoint(remote)}`
    const nowMs = this.#nowMs()
    const known = this.#entries.get(key)
    const entry = (known !== undefined && this.#isAlive(known) ? known : undefined) ?? {
      inside,
      outside: { ...inside, address: this.#outside, port: latest ?? this.#newPort(inside) },
      permitted: [],
      createdMs: nowMs,
      lastMs: nowMs,
      isAnswered: false,
      isOld: false,
    }
    entry.isOld ||= entry.isAnswered && nowMs - entry.createdMs > 2000
    entry.lastMs = nowMs
    this.#entries.set(key, entry)
    entry.permitted.push(remote)
    if (this.#options.maxSessions !== undefined) this.#sessions.set(sessionOf(inside, remote), nowMs)
    return entry.outside
  }

  #avoidTaken(inside: Endpoint, remote: Endpoint): void {
    const key = formatEndpoint(inside)
    const port = this.#latest.get(key) ?? inside.port
    if (!this.#taken.has(sessionOf({ ...inside, address: this.#outside, port }, remote))) return
    this.#latest.set(key, Math.max(FIRST_TAKEN_PORT, ...this.#latest.values()) + 1)
  }

  /** Where a datagram goes inside; undefined if it is filtered. */
  inbound(outside: Endpoint, remote: Endpoint): Endpoint | undefined {
    const { filtering } = this.#options
    const scope = scopeOf(filtering, remote)
    // One port may serve several destinations.
    const entry = [...this.#entries.values()].find(
      (candidate) =>
        equalEndpoint(candidate.outside, outside) &&
        candidate.permitted.some((other) => scopeOf(filtering, other) === scope),
    )
    if (entry === undefined || !this.#isAlive(entry)) {
      if (this.#options.answers === true) this.#taken.add(sessionOf(outside, remote))
      return undefined
    }
    entry.isAnswered = true
    return entry.inside
  }

  get #outside(): IpAddress {
    return ip(this.#options.address ?? '203.0.113.1')
  }

  #isAlive({ lastMs, isOld }: MappingEntry): boolean {
    const { lifetime } = this.#options
    return lifetime === undefined || this.#nowMs() - lastMs <= (isOld ? lifetime.ms : lifetime.youngMs)
  }

  /** Others behind it take so many ports in order. */
  skipPorts(count: number): void {
    this.#nextPort += count * (this.#options.step ?? 1)
  }

  /** As one that has given out its last port. */
  beginAnew(): void {
    this.#nextPort = FIRST_PORT
  }

  get turnsRound(): boolean {
    return this.#options.hairpin ?? false
  }

  #newPort(inside: Endpoint): number {
    const { ports, foreignFlowsPerS = 0 } = this.#options
    if (ports === 'preserved') return inside.port
    if (ports === 'sequential') {
      const flows = Math.floor((this.#nowMs() * foreignFlowsPerS) / 1000)
      this.skipPorts(flows - this.#foreignFlows)
      this.#foreignFlows = flows
      const port = this.#nextPort
      this.skipPorts(1)
      return port
    }
    const [low, high] = ports
    const [a = 0, b = 0] = this.#random(2)
    return low + ((a * 256 + b) % (high - low + 1))
  }
}

function sessionOf(inside: Endpoint, remote: Endpoint): string {
  return `${formatEndpoint(inside)} ${formatEndpoint(remote)}`
}

function scopeOf(dependence: Dependence, remote: Endpoint): string {
  if (dependence === 'endpointIndependent') return ''
  return dependence === 'addressDependent' ? formatIp(remote.address) : formatEndpoint(remote)
}

interface SimulatedAnswer {
  readonly from: Endpoint
  readonly to: Endpoint
  readonly bytes: Uint8Array
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
  answer(from: Endpoint, to: Endpoint, bytes: Uint8Array): SimulatedAnswer | undefined {
    const corners = this.#corners()
    if (!corners.some((corner) => equalEndpoint(corner, to))) return undefined
    const answer = answerStun(bytes, from, to, corners)
    return answer && { from: answer.source, to: answer.to, bytes: answer.bytes }
  }

  #corners(): Endpoint[] {
    const [first, second] = [this.#first, this.#second]
    if (second === undefined) return [first]
    return [first, second, { ...first, port: second.port }, { ...second, port: first.port }]
  }
}
