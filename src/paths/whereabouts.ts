/**
 * Where this node is: from what its owner tells and servers answer, the position that it tells its peers.
 * Sans-IO.
 *
 * Some things are true of one network only: how its NAT chooses ports, and how many sessions its router bears.
 * A network is known by the external addresses that servers see.
 */

import { type Endpoint, equalEndpoint } from '../net/endpoint.js'
import { equalIp, formatIp, type IpAddress } from '../net/ip.js'
import type { Path } from '../net/path.js'
import type { Prefix } from '../net/prefix.js'
import { isPrivate } from '../net/special-addresses.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import { isWorthNaming } from './candidates.js'
import { type Candidate, type CandidateKind, MAX_CANDIDATES } from './disco.js'
import type { IsOverlay, OwnPosition } from './finder-types.js'
import { isHard, portsToTell } from './hard-plan.js'
import type { PortChoice } from './nat.js'
import { Reflexive, type ReflexiveEffect } from './reflexive.js'

/** Header and tag of a transport message. */
const MESSAGE_OVERHEAD_BYTES = 32
/** What an Ethernet carries of IPv4 and UDP; probes are not longer. */
const MAX_WIDE_BYTES = 1472
/** Of which it is remembered how their NATs choose ports. */
const MAX_NETWORKS = 16
/** Of what a router was seen to keep: the rest is for whoever else is behind it. */
const FULL_SHARE = 0.6
/** Of what a router has left, for one search, and what is left to others however many searches there are. */
const ROOM_SHARE = 0.5
const MIN_ROOM_LEFT = 48
/** An outage looks like a full router, routers are replaced, and others fill them: it is looked at again. */
const KNOWN_MS: number = 30 * 60_000

export interface DeviceSockets {
  readonly v4: number | undefined
  readonly v6: number | undefined
  readonly port: number
}

export interface WhereaboutsOptions {
  readonly random: RandomBytes
  /** Of the inner interface. */
  readonly mtu: () => number
  readonly isOverlay: IsOverlay
}

/** How the NAT that shows this node as `seenAs` chooses ports is to be asked of these. */
export interface PortSurveyRequest {
  readonly seenAs: string
  readonly servers: readonly Endpoint[]
}

export class Whereabouts {
  readonly #options: WhereaboutsOptions
  readonly #reflexive: Reflexive
  /** As the owner named them, and those of them that are asked. */
  #named: readonly Endpoint[] = []
  #asked: readonly Endpoint[] = []
  #servers: readonly Endpoint[] = []
  #sockets: DeviceSockets = { v4: undefined, v6: undefined, port: 0 }
  #prefixes: readonly Prefix[] = []
  #mappedPort: number | undefined
  #routerAddress: IpAddress | undefined
  #tcpPort = 0
  #mappedTcpPort: number | undefined
  #tcpAddress: IpAddress | undefined
  #choice: PortChoice | undefined
  #isSurveyDone = false
  /** Of which external addresses the ports were surveyed. */
  #surveyed = ''
  /** What was found, by the external addresses: the oldest networks are forgotten. */
  readonly #choices = new Map<string, PortChoice | undefined>()
  /** What was found is known again, and not yet part of the position. */
  #isChangeDue = false
  /** How many sessions a search may begin, and of which external addresses that is true. */
  #sessions: { readonly seenAs: string; readonly max: number; untilMs: number | undefined } | undefined
  #lifetimeMs: number | undefined
  #position: OwnPosition

  constructor(options: WhereaboutsOptions) {
    this.#options = options
    this.#reflexive = new Reflexive(options.random)
    this.#position = this.#compose()
  }

  // --- getters ---------------------------------------------------------------------------------

  get position(): OwnPosition {
    return this.#position
  }

  /** To be asked, of IPv4. */
  get servers(): readonly Endpoint[] {
    return this.#servers
  }

  // --- commands: what each means is told at PathManager -----------------------------------------

  setServers(servers: readonly Endpoint[], nowMs: number, effects: ReflexiveEffect[]): void {
    this.#named = servers
    this.#ask(this.#withoutOverlays(servers), nowMs, effects)
  }

  /** They would see what leaves the overlay. */
  #withoutOverlays(servers: readonly Endpoint[]): Endpoint[] {
    return servers.filter(({ address }) => !this.#options.isOverlay(address))
  }

  #ask(servers: readonly Endpoint[], nowMs: number, effects: ReflexiveEffect[]): void {
    this.#asked = servers
    this.#servers = servers.filter(({ address }) => address.family === 4)
    this.#reflexive.configure({ servers }, nowMs, effects)
  }

  setSockets(sockets: DeviceSockets, nowMs: number, effects: ReflexiveEffect[]): void {
    this.#sockets = sockets
    this.#reflexive.configure({ sockets }, nowMs, effects)
    this.#update()
  }

  setAddresses(prefixes: readonly Prefix[], nowMs: number, effects: ReflexiveEffect[]): void {
    this.#prefixes = prefixes
    this.#reflexive.configure({ ownAddresses: prefixes.map(({ address }) => address) }, nowMs, effects)
    this.#update()
  }

  setMappedPort(port: number | undefined): void {
    this.#mappedPort = port
    this.#change()
  }

  setRouterAddress(address: IpAddress | undefined): void {
    this.#routerAddress = address
    this.#change()
  }

  setMappedTcpPort(port: number | undefined): void {
    this.#mappedTcpPort = port
    this.#change()
  }

  /** False if it is no news. */
  setTcpAddress(address: IpAddress): boolean {
    if (address.family !== 4) return false
    if (this.#tcpAddress !== undefined && equalIp(this.#tcpAddress, address)) return false
    this.#tcpAddress = address
    this.#change()
    return this.#mappedTcpPort !== undefined || this.#reflexive.endpoints.length === 0
  }

  setTcpPort(port: number): void {
    this.#tcpPort = port
    this.#change()
  }

  /** What is remembered of this network becomes part of the position in handleTimeout. */
  takePortSurvey(): PortSurveyRequest | undefined {
    const seenAs = this.#seenAs()
    if (!isHard(this.#reflexive.mapping) || this.#surveyed === seenAs) return undefined
    this.#surveyed = seenAs
    this.#choice = this.#choices.get(seenAs)
    this.#isSurveyDone = this.#choices.has(seenAs)
    this.#isChangeDue = this.#isSurveyDone
    return this.#isSurveyDone ? undefined : { seenAs, servers: this.#servers }
  }

  /** False if that is of another network by now; it is remembered. What could not be found out is not. */
  setPortChoice(seenAs: string, choice: PortChoice | undefined): boolean {
    if (choice !== undefined) this.#choices.set(seenAs, choice)
    const [oldest] = this.#choices.keys()
    if (this.#choices.size > MAX_NETWORKS && oldest !== undefined) this.#choices.delete(oldest)
    if (seenAs !== this.#surveyed) return false
    this.#choice = choice
    this.#isSurveyDone = true
    this.#change()
    return true
  }

  setLifetime(lifetimeMs: number | undefined): void {
    this.#lifetimeMs = lifetimeMs
    this.#reflexive.setLifetime(lifetimeMs)
    this.#update()
  }

  /** The router is full with about so many sockets. */
  setFull(sockets: number): void {
    this.#setSessions(Math.floor(sockets * FULL_SHARE))
  }

  /**
   * The router has so many sessions left, see RoomSurvey: gives how many each of so many searches may begin. What is
   * little changes with what others do, and is measured each time.
   */
  setRoom(room: number | undefined, searches: number): number | undefined {
    if (room === Number.POSITIVE_INFINITY) this.#setSessions(room)
    if (room === undefined) return undefined
    return Math.floor(Math.max(0, Math.min(room * ROOM_SHARE, room - MIN_ROOM_LEFT)) / searches)
  }

  /** Routes are others. True if the position is another one now. */
  handleRoutesChanged(nowMs: number, effects: ReflexiveEffect[]): boolean {
    const before = this.#position.candidates
    const servers = this.#withoutOverlays(this.#named)
    if (!equalLists(servers, this.#asked, equalEndpoint)) this.#ask(servers, nowMs, effects)
    this.#update()
    return !equalLists(before, this.#position.candidates, equalCandidate)
  }

  /** A path was lost: servers tell whether our NAT maps us elsewhere now. */
  refresh(nowMs: number, effects: ReflexiveEffect[]): void {
    this.#reflexive.refresh(nowMs, effects)
  }

  // --- inputs ----------------------------------------------------------------------------------

  /** A datagram of STUN, under a veil or not. True if the position is another one now. */
  handleAnswer(path: Path, bytes: Uint8Array, isVeiled: boolean): boolean {
    const isChanged = this.#reflexive.handleAnswer(path, bytes, isVeiled)
    if (isChanged) this.#change()
    return isChanged
  }

  nextDeadlineMs(nowMs: number): number {
    return this.#isChangeDue ? nowMs : this.#reflexive.nextDeadlineMs()
  }

  /** True if the position is another one now. */
  handleTimeout(nowMs: number, effects: ReflexiveEffect[]): boolean {
    if (this.#sessions !== undefined) {
      this.#sessions.untilMs ??= nowMs + KNOWN_MS
      if (nowMs >= this.#sessions.untilMs) {
        this.#sessions = undefined
        this.#update()
      }
    }
    const isDue = this.#reflexive.nextDeadlineMs() <= nowMs
    const isChanged = (isDue && this.#reflexive.handleTimeout(nowMs, effects)) || this.#isChangeDue
    if (isChanged) this.#change()
    return isChanged
  }

  // --- inside ----------------------------------------------------------------------------------

  /** What the peers are to be told of, all of it. */
  #change(): void {
    this.#isChangeDue = false
    this.#update()
  }

  #update(): void {
    this.#position = this.#compose()
  }

  #compose(): OwnPosition {
    return {
      sockets: this.#sockets,
      candidates: this.#sockets.port === 0 ? [] : this.#candidates(),
      prefixes: this.#prefixes,
      isOverlay: this.#options.isOverlay,
      mapping: this.#reflexive.mapping,
      ports: this.#isSurveyDone ? portsToTell(this.#choice) : [0, 0],
      isStunDropped: this.#reflexive.isStunDropped,
      wideBytes: Math.min(MAX_WIDE_BYTES, this.#options.mtu() + MESSAGE_OVERHEAD_BYTES),
      lifetimeMs: this.#lifetimeMs,
      maxSessions: this.#sessions?.seenAs === this.#seenAs() ? this.#sessions.max : undefined,
      isSequential: this.#choice?.kind === 'sequential',
      stunServer: this.#servers[0],
    }
  }

  #setSessions(max: number): void {
    this.#sessions = { seenAs: this.#seenAs(), max, untilMs: undefined }
    this.#update()
  }

  /** Names the network. */
  #seenAs(): string {
    const addresses = this.#reflexive.endpoints.map(({ address }) => formatIp(address))
    return [...new Set(addresses)].sort().join()
  }

  /** Public ones first: of too many the last are left out. */
  #candidates(): Candidate[] {
    const { port } = this.#sockets
    const local = this.#prefixes.map(
      ({ address }): Candidate => ({ kind: 'local', endpoint: { address, port, scopeId: 0 } }),
    )
    const reflexive = this.#reflexive.endpoints.map(
      (endpoint): Candidate => ({ kind: 'reflexive', endpoint }),
    )
    const guessed = reflexive.length === 0 ? this.#guessedCandidates() : []
    const nearby = [...this.#tcpCandidates(), ...guessed, ...this.#innerCandidates(), ...publicFirst(local)]
    const all = [...this.#mappedCandidates(), ...reflexive, ...nearby]
    const { isOverlay } = this.#options
    return all.filter(({ endpoint }) => isWorthNaming(endpoint.address, isOverlay)).slice(0, MAX_CANDIDATES)
  }

  /**
   * Where no server answers by UDP, only STUN may be stopped: many NATs keep the port, and the address is known from TCP.
   * It is said to be a local one, since nobody has seen it.
   */
  #guessedCandidates(): Candidate[] {
    const [address, { port }] = [this.#tcpAddress, this.#sockets]
    const isOwn = this.#prefixes.some((own) => address !== undefined && equalIp(own.address, address))
    return address === undefined || isOwn ? [] : [{ kind: 'local', endpoint: { address, port, scopeId: 0 } }]
  }

  #mappedCandidates(): Candidate[] {
    const byUdp = this.#reflexive.endpoints.find(({ address }) => address.family === 4)?.address
    const byTcp = byUdp ?? this.#tcpAddress
    const at = (
      kind: CandidateKind,
      address: IpAddress | undefined,
      port: number | undefined,
    ): Candidate[] =>
      address === undefined || port === undefined ? [] : [{ kind, endpoint: { address, port, scopeId: 0 } }]
    return [...at('mapped', byUdp, this.#mappedPort), ...at('tcp', byTcp, this.#mappedTcpPort)]
  }

  /**
   * The router's own address where another one translates it once more: who is behind the same carrier comes in there,
   * and not by the address that servers see, unless the carrier turns packets around.
   */
  #innerCandidates(): Candidate[] {
    const address = this.#routerAddress
    const port = this.#mappedPort
    if (address === undefined || port === undefined || !isPrivate(address)) return []
    return [{ kind: 'mapped', endpoint: { address, port, scopeId: 0 } }]
  }

  /** Where nothing is translated, and nobody stands in the way but a firewall perhaps. */
  #tcpCandidates(): Candidate[] {
    const port = this.#tcpPort
    if (port === 0) return []
    return this.#prefixes
      .filter(({ address }) => !isPrivate(address))
      .map(({ address }) => ({ kind: 'tcp', endpoint: { address, port, scopeId: 0 } }))
  }
}

function publicFirst(candidates: readonly Candidate[]): Candidate[] {
  const isNear = ({ endpoint }: Candidate): number => (isPrivate(endpoint.address) ? 1 : 0)
  return candidates.toSorted((a, b) => isNear(a) - isNear(b))
}

function equalCandidate(a: Candidate, b: Candidate): boolean {
  return a.kind === b.kind && equalEndpoint(a.endpoint, b.endpoint)
}

function equalLists<T>(a: readonly T[], b: readonly T[], isEqual: (a: T, b: T) => boolean): boolean {
  return a.length === b.length && a.every((item, i) => i in b && isEqual(item, b[i] as T))
}
