/**
 * The relays of a node: connected to the few that are near, so that the death of one is no event. How near
 * they are is told to others by the hub, so that each finds the shortest way to its peers.
 */

import { equalBytes, tryParseBase64 } from '../../base/bytes.js'
import type { Logger } from '../../base/log.js'
import { type Identity, sessionKeyOf, tryParseIdentity } from '../../control/identity.js'
import type { RelayInfo, RelayRtts } from '../../control/messages.js'
import type { Endpoint } from '../../net/endpoint.js'
import type { HttpProxy } from '../../net/http-proxy.js'
import type { IpAddress } from '../../net/ip.js'
import type { AddressCheck } from '../../platform/checked-lookup.js'
import { HeldFrames } from '../../relay/held-frames.js'
import { LatencyReport } from '../../relay/latency-report.js'
import { chooseLinks, orderRelays, type RelayWay } from '../../relay/relay-choice.js'
import type { PublicKey } from '../../wireguard/keys.js'
import type { WakeUp } from '../engine.js'
import { createWakeUp } from '../wake-up.js'
import { describeFault } from './redial.js'
import { RelayLink } from './relay-link.js'
import { RelayMeter } from './relay-meter.js'

/** And the meeting place, if it is none of them. */
const MAX_LINKS = 3
/** A relay that said that it does not know a peer is passed over for so long. */
const GONE_MS = 3000
const MAX_GONE = 4096
const MAX_CURRENT = 4096
/** Of a relay that has not answered a ping yet. */
const UNKNOWN_RTT_MS = 1000
/** Handshakes and calls wait for a relay that is being connected to: their own repetition takes seconds. */
const MAX_WAITING = 128
const WAITING_MS = 3000

export interface RelayPoolOptions {
  readonly identity: Identity
  readonly proxy: HttpProxy | undefined
  /** Of relays. */
  readonly isAllowed: AddressCheck
  readonly log: Logger
  readonly nowMs: () => number
  readonly onMessages: (identity: string, segmentBytes: number, messages: Uint8Array) => void
  /** As whom a relay sees this node. */
  readonly onObserved: (endpoint: Endpoint) => void
  /** A relay has let this node in. */
  readonly onUp: () => void
  /** A relay does not answer, or has ended the connection. */
  readonly onLost: () => void
  /** For the hub. */
  readonly onLatencies: (rtts: RelayRtts) => void
}

export interface RelayStatus {
  readonly key: string
  readonly host: string
  readonly port: number
  readonly isConnected: boolean
  readonly isHome: boolean
  readonly way: string
  readonly rttMs: number | undefined
  /** See RelayLink. */
  readonly megabits: number | undefined
  readonly overLimit: number
  readonly fault: string
}

interface Receiver {
  /** Base64. */
  readonly identity: string
  readonly relayRtts: RelayRtts
}

interface Waiting {
  readonly frame: Uint8Array
  readonly to: Receiver
  readonly segmentBytes: number
  readonly atMs: number
}

interface Held extends Omit<Waiting, 'atMs'> {
  /** It was in doubt when it took the frame. */
  readonly link: RelayLink | undefined
}

interface Way extends RelayWay {
  readonly link: RelayLink
}

interface Member {
  readonly info: RelayInfo
  readonly link: RelayLink
}

export class RelayPool {
  readonly #options: RelayPoolOptions
  readonly #members = new Map<string, Member>()
  /** Relay and identity → until when it is passed over. */
  readonly #gone = new Map<string, number>()
  /** Identity → the relay that it is written to over. */
  readonly #current = new Map<string, string>()
  readonly #report = new LatencyReport()
  readonly #reportWakeUp: WakeUp
  readonly #meter: RelayMeter
  #relays: ReadonlyMap<string, RelayInfo> = new Map()
  #connectMs: ReadonlyMap<string, number | undefined> = new Map()
  #ticket: Uint8Array = new Uint8Array(0)
  #unsent = 0
  #isStopped = false
  #waiting: Waiting[] = []
  /** Data, by the identity of the peer. */
  readonly #held = new HeldFrames<Held>()

  constructor(options: RelayPoolOptions) {
    this.#options = options
    const { nowMs, isAllowed } = options
    this.#reportWakeUp = createWakeUp(nowMs, () => this.#tellNews())
    this.#meter = new RelayMeter({
      nowMs,
      isAllowed,
      onMeasured: (connectMs) => {
        this.#connectMs = connectMs
        this.#chooseLinks()
      },
    })
  }

  /** Messages for which there was no relay, and frames of data that waited for one in vain. */
  get unsent(): number {
    return this.#unsent + this.#held.dropped
  }

  /** Messages that gave way in queues. */
  get dropped(): number {
    return [...this.#members.values()].reduce((sum, { link }) => sum + link.dropped, 0)
  }

  /** Frames of relays that were not taken: unknown senders, junk, too many, or what no relay says. */
  get refused(): number {
    return [...this.#members.values()].reduce((sum, { link }) => sum + link.refused, 0)
  }

  /** All that is to be told, whatever was told before. */
  takeLatencies(): RelayRtts {
    const rtts = this.#report.takeAll()
    this.#reportWakeUp.at(this.#report.nextDeadlineMs())
    return rtts
  }

  status(): RelayStatus[] {
    return [...this.#members.values()].map(({ info, link }) => ({
      ...info,
      isConnected: link.isConnected,
      isHome: info.key === this.#report.home,
      way: link.way,
      rttMs: link.rttMs,
      megabits: link.megabits,
      overLimit: link.overLimit,
      fault: describeFault(link.fault, link.retryAtMs, this.#options.nowMs()),
    }))
  }

  configure(relays: readonly RelayInfo[], ticket: string): void {
    this.setTicket(ticket)
    this.#relays = new Map(relays.map((info) => [keyOf(info), info]))
    this.#chooseLinks()
    this.#meter.configure(this.#relays.size > MAX_LINKS ? this.#relays : new Map())
  }

  setTicket(ticket: string): void {
    const before = this.#ticket
    this.#ticket = tryParseBase64(ticket) ?? new Uint8Array(0)
    if (!equalBytes(before, this.#ticket)) for (const { link } of this.#members.values()) link.renewTicket()
  }

  /** `frame`: see RelayLink.send. False if no relay takes it. */
  send(frame: Uint8Array, to: Receiver, segmentBytes: number, isControl: boolean): boolean {
    const ways = this.#inOrder(to)
    if (!isControl && ways.every(({ isGone, link }) => isGone || link.isDoubtful)) {
      // What is sent all the same is kept as it is now: a link writes into it.
      const copy = ways.length === 0 ? frame : frame.slice()
      const held = { frame: copy, to, segmentBytes, link: ways.find(({ isGone }) => !isGone)?.link }
      this.#held.hold(to.identity, held, frame.length, this.#options.nowMs())
    }
    for (const { link } of ways) if (link.send(frame, to.identity, segmentBytes, isControl)) return true
    for (const { link } of this.#members.values()) link.want()
    if (isControl) this.#unsent += 1
    return false
  }

  /** A control frame that nothing else takes either waits for the next relay that lets us in. */
  keep(frame: Uint8Array, to: Receiver, segmentBytes: number): void {
    this.#waiting.push({ frame, to, segmentBytes, atMs: this.#options.nowMs() })
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift()
  }

  /** `addresses`: of this machine, as they are now. */
  nudge(addresses: readonly IpAddress[]): void {
    for (const { link } of this.#members.values()) link.nudge(addresses)
    this.#meter.refresh()
  }

  /** A sign that connections may be dead: all are asked. */
  doubt(): void {
    for (const { link } of this.#members.values()) link.doubt()
  }

  stop(): void {
    this.#isStopped = true
    this.#meter.stop()
    this.#reportWakeUp.at(Number.POSITIVE_INFINITY)
    for (const { link } of this.#members.values()) link.stop()
  }

  /** The shortest way first; those that do not know the peer last. */
  #inOrder({ identity: peer, relayRtts }: Receiver): readonly Way[] {
    const nowMs = this.#options.nowMs()
    const ways: Way[] = []
    for (const { info, link } of this.#members.values()) {
      if (!link.isConnected) continue
      const isGone = (this.#gone.get(`${info.key} ${peer}`) ?? 0) > nowMs
      ways.push({ key: info.key, rttMs: link.rttMs ?? UNKNOWN_RTT_MS, isGone, link })
    }
    if (ways.length < 2) return ways
    const order = orderRelays(ways, relayRtts, this.#current.get(peer))
    if (this.#current.size > MAX_CURRENT) this.#current.clear()
    this.#current.set(peer, order[0]?.key ?? '')
    return order
  }

  #chooseLinks(): void {
    const known = [...this.#relays.keys()].map((id) => ({
      id,
      ms: this.#connectMs.get(id) ?? this.#members.get(id)?.link.rttMs,
      isLinked: this.#members.has(id),
    }))
    const wanted = new Set(chooseLinks(known, MAX_LINKS))
    for (const [id, { link }] of this.#members) {
      if (wanted.has(id)) continue
      link.stop()
      this.#members.delete(id)
    }
    for (const [id, info] of this.#relays) {
      const relayKey = sessionKeyOf(tryParseIdentity(info.key) ?? new Uint8Array(0))
      if (!wanted.has(id) || this.#members.has(id) || relayKey === undefined) continue
      const link = this.#createLink(info, relayKey)
      this.#members.set(id, { info, link })
      link.start()
    }
    this.#handleState()
  }

  #createLink(info: RelayInfo, relayKey: PublicKey): RelayLink {
    const { identity, proxy, isAllowed, log, nowMs, onMessages, onObserved } = this.#options
    const link = new RelayLink({
      endpoint: { host: info.host, port: info.port },
      relayKey,
      identity,
      ticket: () => this.#ticket,
      proxy,
      isAllowed,
      log,
      nowMs,
      onMessages: (sender, segmentBytes, messages) => {
        onMessages(sender, segmentBytes, messages)
        this.#handleHeard(info, sender)
      },
      onObserved,
      onPeerGone: (peer) => {
        if (this.#gone.size > MAX_GONE) this.#gone.clear()
        this.#gone.set(`${info.key} ${peer}`, nowMs() + GONE_MS)
        this.#held.handleRefused(peer, nowMs())
      },
      onSilent: () => this.#options.onLost(),
      onCertain: () => this.#held.remove((held) => held.link === link),
      onWelcome: () => {
        this.#handleState()
        for (const peer of this.#held.waiting) this.#sendHeld(peer)
        this.#options.onUp()
      },
      onState: () => {
        if (link.fault !== '') {
          this.#meter.refresh()
          this.#options.onLost()
        }
        this.#handleState()
      },
    })
    return link
  }

  #handleState(): void {
    if (this.#isStopped) return
    const rtts: [string, number][] = []
    for (const { info, link } of this.#members.values()) {
      if (link.isConnected && link.rttMs !== undefined) rtts.push([info.key, link.rttMs])
    }
    this.#report.measured(Object.fromEntries(rtts), this.#options.nowMs())
    this.#reportWakeUp.at(this.#report.nextDeadlineMs())
    this.#sendWaiting()
  }

  #tellNews(): void {
    const rtts = this.#report.takeDue(this.#options.nowMs())
    this.#reportWakeUp.at(this.#report.nextDeadlineMs())
    if (rtts !== undefined) this.#options.onLatencies(rtts)
  }

  /** The peer is on this relay, whatever was said of it. */
  #handleHeard({ key }: RelayInfo, peer: string): void {
    if (this.#gone.size > 0) this.#gone.delete(`${key} ${peer}`)
    this.#sendHeld(peer)
  }

  #sendHeld(peer: string): void {
    for (const { frame, to, segmentBytes } of this.#held.send(peer, this.#options.nowMs())) {
      // A copy: it may have to be sent again.
      const [way] = this.#inOrder(to)
      way?.link.send(frame.slice(), to.identity, segmentBytes, false)
    }
  }

  #sendWaiting(): void {
    if (![...this.#members.values()].some(({ link }) => link.isConnected)) return
    const sinceMs = this.#options.nowMs() - WAITING_MS
    for (const { frame, to, segmentBytes, atMs } of this.#waiting.splice(0)) {
      if (atMs >= sinceMs) this.send(frame, to, segmentBytes, true)
    }
  }
}

function keyOf({ key, host, port }: RelayInfo): string {
  return `${key} ${host} ${port}`
}
