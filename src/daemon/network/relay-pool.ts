/**
 * The relays of a node: connected to a few at once, so that the death of one is no event. The one that
 * answers fastest is home: the hub tells others to write there.
 */

import { formatBase64, formatHex, tryParseBase64 } from '../../base/bytes.js'
import type { Logger } from '../../base/log.js'
import { type Identity, tryParseIdentity } from '../../control/identity.js'
import type { RelayInfo } from '../../control/messages.js'
import type { IpAddress } from '../../net/ip.js'
import type { HttpProxy } from '../../platform/dial.js'
import { RelayLink } from './relay-link.js'

const MAX_LINKS = 3
/** A relay that said that it does not know a peer is passed over for so long. */
const GONE_MS = 3000
/** Home moves when another is faster by this: a move is news for all peers. */
const MIN_GAIN = 0.8
const MIN_GAIN_MS = 10
const MAX_GONE = 4096
/** Handshakes and calls wait for a relay that is being connected to: their own repetition takes seconds. */
const MAX_WAITING = 128
const WAITING_MS = 3000

export interface RelayPoolOptions {
  readonly identity: Identity
  readonly proxy: HttpProxy | undefined
  readonly log: Logger
  readonly nowMs: () => number
  readonly onMessages: (identity: string, segmentBytes: number, messages: Uint8Array) => void
  /** Key of the home relay, or null. */
  readonly onHome: (key: string | null) => void
}

export interface RelayStatus {
  readonly key: string
  readonly host: string
  readonly port: number
  readonly isConnected: boolean
  readonly isHome: boolean
  readonly way: string
  readonly rttMs: number | undefined
  readonly fault: string
}

interface Waiting {
  readonly frame: Uint8Array
  readonly to: { readonly identity: Uint8Array; readonly homeRelay: string | undefined }
  readonly segmentBytes: number
  readonly atMs: number
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
  #ticket: Uint8Array = new Uint8Array(0)
  #home: string | null = null
  #unsent = 0
  #waiting: Waiting[] = []

  constructor(options: RelayPoolOptions) {
    this.#options = options
  }

  /** Messages for which there was no relay. */
  get unsent(): number {
    return this.#unsent
  }

  /** Messages that gave way in queues. */
  get dropped(): number {
    return [...this.#members.values()].reduce((sum, { link }) => sum + link.dropped, 0)
  }

  get home(): string | null {
    return this.#home
  }

  status(): RelayStatus[] {
    return [...this.#members.values()].map(({ info, link }) => ({
      ...info,
      isConnected: link.isConnected,
      isHome: info.key === this.#home,
      way: link.way,
      rttMs: link.rttMs,
      fault: link.fault,
    }))
  }

  configure(relays: readonly RelayInfo[], ticket: string): void {
    this.setTicket(ticket)
    const wanted = new Map(relays.slice(0, MAX_LINKS).map((info) => [keyOf(info), info]))
    for (const [key, { link }] of this.#members) {
      if (wanted.has(key)) continue
      link.stop()
      this.#members.delete(key)
    }
    for (const [key, info] of wanted) {
      const relayKey = tryParseIdentity(info.key)
      if (this.#members.has(key) || relayKey === undefined) continue
      const link = this.#createLink(info, relayKey)
      this.#members.set(key, { info, link })
      link.start()
    }
  }

  setTicket(ticket: string): void {
    this.#ticket = tryParseBase64(ticket) ?? new Uint8Array(0)
  }

  /** `frame`: see RelayLink.send. False if no relay takes it. */
  send(
    frame: Uint8Array,
    to: { readonly identity: Uint8Array; readonly homeRelay: string | undefined },
    segmentBytes: number,
    isControl: boolean,
  ): boolean {
    for (const { link } of this.#inOrder(to)) {
      if (link.send(frame, to.identity, segmentBytes, isControl)) return true
    }
    this.#unsent += 1
    if (isControl) {
      this.#waiting.push({ frame, to, segmentBytes, atMs: this.#options.nowMs() })
      if (this.#waiting.length > MAX_WAITING) this.#waiting.shift()
    }
    return false
  }

  /** `addresses`: of this machine, as they are now. */
  nudge(addresses: readonly IpAddress[]): void {
    for (const { link } of this.#members.values()) link.nudge(addresses)
  }

  stop(): void {
    for (const { link } of this.#members.values()) link.stop()
  }

  /** First where the peer is at home, then where we are; those that do not know it last. */
  #inOrder(to: { readonly identity: Uint8Array; readonly homeRelay: string | undefined }): Member[] {
    const usable = [...this.#members.values()].filter(({ link }) => link.isConnected)
    if (usable.length < 2) return usable
    const nowMs = this.#options.nowMs()
    const rank = ({ info }: Member): number => {
      const goneUntilMs = this.#gone.get(`${info.key} ${formatHex(to.identity)}`) ?? 0
      if (goneUntilMs > nowMs) return 3
      return info.key === to.homeRelay ? 0 : info.key === this.#home ? 1 : 2
    }
    return usable.sort((a, b) => rank(a) - rank(b))
  }

  #createLink(info: RelayInfo, relayKey: Uint8Array): RelayLink {
    const { identity, proxy, log, nowMs, onMessages } = this.#options
    return new RelayLink({
      endpoint: { host: info.host, port: info.port },
      relayKey,
      identity,
      ticket: () => this.#ticket,
      proxy,
      log,
      nowMs,
      onMessages: (sender, segmentBytes, messages) =>
        onMessages(formatBase64(sender), segmentBytes, messages),
      onPeerGone: (peer) => {
        if (this.#gone.size > MAX_GONE) this.#gone.clear()
        this.#gone.set(`${info.key} ${formatHex(peer)}`, nowMs() + GONE_MS)
      },
      onState: () => {
        this.#chooseHome()
        this.#sendWaiting()
      },
    })
  }

  #sendWaiting(): void {
    if (![...this.#members.values()].some(({ link }) => link.isConnected)) return
    const sinceMs = this.#options.nowMs() - WAITING_MS
    for (const { frame, to, segmentBytes, atMs } of this.#waiting.splice(0)) {
      if (atMs >= sinceMs) this.send(frame, to, segmentBytes, true)
    }
  }

  #chooseHome(): void {
    const connected = [...this.#members.values()].filter(({ link }) => link.isConnected)
    const best = connected.reduce<Member | undefined>(
      (before, member) => (before === undefined || rttOf(member) < rttOf(before) ? member : before),
      undefined,
    )
    const current = connected.find(({ info }) => info.key === this.#home)
    const isWorth =
      current === undefined ||
      (best !== undefined &&
        rttOf(best) < MIN_GAIN * rttOf(current) &&
        rttOf(best) + MIN_GAIN_MS < rttOf(current))
    const home = isWorth ? (best?.info.key ?? null) : this.#home
    if (home === this.#home) return
    this.#home = home
    this.#options.onHome(home)
  }
}

function rttOf({ link }: Member): number {
  return link.rttMs ?? 1000
}

function keyOf({ key, host, port }: RelayInfo): string {
  return `${key} ${host} ${port}`
}
