/**
 * The hub's side of all control sessions: who is connected, what each hears. Sans-IO: messages go in, already
 * opened and checked for their form, effects come out.
 *
 * A change goes to the nodes that it concerns, as a change; the whole list goes to a node once, when it
 * comes. Nodes concern each other if they share a tag, or one of them has none.
 */

import { formatBase64, tryParseBase64 } from '../base/bytes.js'
import { addressOf } from '../control/addresses.js'
import { type Identity, isSignedBy, tryParseIdentity } from '../control/identity.js'
import {
  type Hello,
  type HubMessage,
  MAX_NODES_PER_MESSAGE,
  type NodeInfo,
  type NodeMessage,
  PROOF_LABEL,
  type Refusal,
  type RelayInfo,
  type RelayRtts,
} from '../control/messages.js'
import { createTicket } from '../control/ticket.js'
import { type SignedTunnelKeys, verifyTunnelKey } from '../control/tunnel-key.js'
import type { HostEndpoint } from '../net/endpoint.js'
import { formatIp } from '../net/ip.js'
import { tryParsePrefix } from '../net/prefix.js'
import type { Crypto } from '../wireguard/crypto.js'
import type { Registry } from './registry.js'
import type { NodeRecord } from './store.js'

/** Names a control session; never used again. */
export type SessionId = number

export type HubEffect =
  | { readonly kind: 'send'; readonly session: SessionId; readonly message: HubMessage }
  /** After what was sent before. */
  | { readonly kind: 'close'; readonly session: SessionId }
  /** A node is none any more: relays of this process let it go. */
  | { readonly kind: 'revoke'; readonly identity: string }

const TICKET_LIFETIME_S: number = 24 * 3600

export interface HubOptions {
  readonly registry: Registry
  readonly crypto: Crypto
  /** Signs tickets. */
  readonly identity: Identity
  readonly relays: () => readonly RelayInfo[]
  readonly stun: readonly HostEndpoint[]
  readonly wallNowMs: () => number
}

interface Session {
  readonly id: SessionId
  readonly identity: string
  relayRtts: RelayRtts
}

/** What went wrong since the start, by kind. */
export interface HubCounters {
  malformed: number
  refused: number
  signals: number
  deltas: number
}

export class Hub {
  readonly counters: HubCounters = { malformed: 0, refused: 0, signals: 0, deltas: 0 }
  readonly #options: HubOptions
  readonly #sessions = new Map<SessionId, Session>()
  readonly #byIdentity = new Map<string, Session>()
  /** Made when a node is first told of: a hash each. */
  readonly #v6 = new Map<string, string>()

  constructor(options: HubOptions) {
    this.#options = options
  }

  get onlineCount(): number {
    return this.#byIdentity.size
  }

  isOnline(identity: string): boolean {
    return this.#byIdentity.has(identity)
  }

  addressOf(identity: string): string {
    const known = this.#v6.get(identity)
    if (known !== undefined) return known
    const prefix = tryParsePrefix(this.#options.registry.network.prefix6)
    const bytes = tryParseIdentity(identity)
    if (prefix === undefined || bytes === undefined) throw new RangeError('no identity or no network')
    const text = formatIp(addressOf(this.#options.crypto, prefix, bytes))
    this.#v6.set(identity, text)
    return text
  }

  // --- sessions --------------------------------------------------------------------------------

  /** `handshakeHash`: of the session, for the proof in a hello. */
  handleMessage(id: SessionId, message: NodeMessage, handshakeHash: Uint8Array, effects: HubEffect[]): void {
    const session = this.#sessions.get(id)
    if (session === undefined) {
      if (message.type === 'hello') this.#handleHello(id, message, handshakeHash, effects)
      else this.#turnAway(id, effects)
      return
    }
    switch (message.type) {
      case 'hello':
        this.#turnAway(id, effects)
        break
      case 'update':
        this.#handleUpdate(session, message, effects)
        break
      case 'signal': {
        const receiver = this.#byIdentity.get(message.to)
        if (receiver === undefined) break
        this.counters.signals += 1
        const signal: HubMessage = { type: 'signal', from: session.identity, body: message.body }
        effects.push({ kind: 'send', session: receiver.id, message: signal })
        break
      }
      case 'ping':
        this.#options.registry.seen(session.identity)
        effects.push({ kind: 'send', session: id, message: { type: 'pong' } })
        break
      case 'leave': {
        const node = this.#options.registry.find(session.identity)
        if (node !== undefined) this.#forget(node, 'node.left', effects)
        break
      }
    }
  }

  handleClosed(id: SessionId, effects: HubEffect[]): void {
    const session = this.#sessions.get(id)
    if (session === undefined) return
    this.#sessions.delete(id)
    this.#byIdentity.delete(session.identity)
    const { registry } = this.#options
    registry.seen(session.identity)
    registry.saveSeen(session.identity)
    const node = registry.find(session.identity)
    if (node?.state === 'approved') this.#tellAll(node, false, effects)
  }

  /** From time to time: removes what has been away too long, and renews tickets. */
  handleTimeout(effects: HubEffect[]): void {
    for (const node of this.#options.registry.expired((identity) => this.isOnline(identity))) {
      this.#forget(node, 'node.expired', effects)
    }
  }

  /** New tickets for everybody, well before the old ones end. */
  renewTickets(effects: HubEffect[]): void {
    for (const { id, identity } of this.#byIdentity.values()) {
      effects.push({
        kind: 'send',
        session: id,
        message: { type: 'ticket', ticket: this.#ticketFor(identity) },
      })
    }
  }

  // --- administration --------------------------------------------------------------------------

  remove(node: NodeRecord, effects: HubEffect[]): void {
    this.#forget(node, 'node.removed', effects)
  }

  rename(node: NodeRecord, name: string, effects: HubEffect[]): NodeRecord {
    const renamed = this.#options.registry.rename(node, name)
    this.#tellAll(renamed, false, effects)
    const session = this.#byIdentity.get(node.identity)
    if (session !== undefined) this.#welcome(session, renamed, effects)
    return renamed
  }

  approve(node: NodeRecord, effects: HubEffect[]): NodeRecord {
    const approved = this.#options.registry.approve(node)
    this.#tellAll(approved, false, effects)
    return approved
  }

  // --- inside ----------------------------------------------------------------------------------

  /** It says what nobody says who means well. */
  #turnAway(id: SessionId, effects: HubEffect[]): void {
    this.counters.malformed += 1
    effects.push({ kind: 'close', session: id })
  }

  #handleHello(id: SessionId, hello: Hello, handshakeHash: Uint8Array, effects: HubEffect[]): void {
    const identity = tryParseIdentity(hello.identity)
    const proof = tryParseBase64(hello.proof)
    const isProven =
      identity !== undefined &&
      proof !== undefined &&
      isSignedBy(identity, proof, PROOF_LABEL, handshakeHash) &&
      areValid(identity, hello, this.#options.wallNowMs()) &&
      !this.#options.registry.isKeyOfAnother(hello.identity, hello)
    if (!isProven) {
      this.counters.malformed += 1
      const hint = 'check the clock of that machine; else its key file is damaged'
      this.#refuse(
        id,
        { type: 'refused', code: 'malformed', message: 'the node did not prove its keys', hint },
        effects,
      )
      return
    }
    const enrolment = this.#options.registry.enrol(hello)
    if ('refusal' in enrolment) {
      this.#refuse(id, enrolment.refusal, effects)
      return
    }
    const { node } = enrolment
    if (node.state === 'pending') {
      const message = `${node.name} waits for approval`
      const hint = `on the hub, type: overlay hub approve ${node.name}`
      this.#refuse(id, { type: 'refused', code: 'pending', message, hint }, effects)
      return
    }
    this.#admit(id, node, effects)
  }

  #admit(id: SessionId, node: NodeRecord, effects: HubEffect[]): void {
    const older = this.#byIdentity.get(node.identity)
    if (older !== undefined) {
      this.#sessions.delete(older.id)
      effects.push({ kind: 'close', session: older.id })
    }
    const session: Session = { id, identity: node.identity, relayRtts: {} }
    this.#sessions.set(id, session)
    this.#byIdentity.set(node.identity, session)
    this.#welcome(session, node, effects)
    this.#sendAll(session, effects)
    this.#tellAll(node, false, effects)
  }

  #welcome(session: Session, node: NodeRecord, effects: HubEffect[]): void {
    const { registry, relays, stun } = this.#options
    const { name: network, prefix4, prefix6 } = registry.network
    const message: HubMessage = {
      type: 'welcome',
      network,
      prefix4,
      prefix6,
      name: node.name,
      v4: node.v4,
      v6: this.addressOf(node.identity),
      relays: [...relays()],
      stun: [...stun],
      ticket: this.#ticketFor(node.identity),
    }
    effects.push({ kind: 'send', session: session.id, message })
  }

  /** Everybody else, to one who just came. */
  #sendAll(session: Session, effects: HubEffect[]): void {
    const own = this.#options.registry.find(session.identity)
    const others = [...this.#options.registry.nodes]
      .filter((node) => node.identity !== session.identity && node.state === 'approved')
      .filter((node) => own !== undefined && isConcerned(own, node))
      .map((node) => this.#infoOf(node))
    for (let at = 0; at === 0 || at < others.length; at += MAX_NODES_PER_MESSAGE) {
      const changed = others.slice(at, at + MAX_NODES_PER_MESSAGE)
      const isComplete = at + MAX_NODES_PER_MESSAGE >= others.length
      const message: HubMessage = { type: 'nodes', changed, removed: [], isComplete }
      effects.push({ kind: 'send', session: session.id, message })
    }
  }

  /** A change, to everybody else whom it concerns. */
  #tellAll(node: NodeRecord, isRemoved: boolean, effects: HubEffect[]): void {
    const changed = isRemoved ? [] : [this.#infoOf(node)]
    const removed = isRemoved ? [node.identity] : []
    const message: HubMessage = { type: 'nodes', changed, removed }
    for (const session of this.#byIdentity.values()) {
      if (session.identity === node.identity) continue
      const receiver = this.#options.registry.find(session.identity)
      if (receiver === undefined || !isConcerned(receiver, node)) continue
      this.counters.deltas += 1
      effects.push({ kind: 'send', session: session.id, message })
    }
  }

  #handleUpdate(
    session: Session,
    update: Extract<NodeMessage, { type: 'update' }>,
    effects: HubEffect[],
  ): void {
    const { registry, wallNowMs } = this.#options
    const identity = tryParseIdentity(session.identity)
    const { tunnelKey, previousTunnelKey } = update
    if (tunnelKey !== undefined && identity !== undefined) {
      const keys = { tunnelKey, previousTunnelKey }
      const isTaken = registry.isKeyOfAnother(session.identity, keys)
      if (!isTaken && areValid(identity, keys, wallNowMs())) registry.setTunnelKeys(session.identity, keys)
      else this.counters.malformed += 1
    }
    if (update.relayRtts !== undefined) session.relayRtts = update.relayRtts
    const node = registry.find(session.identity)
    if (node !== undefined) this.#tellAll(node, false, effects)
  }

  #forget(
    node: NodeRecord,
    event: 'node.removed' | 'node.left' | 'node.expired',
    effects: HubEffect[],
  ): void {
    const { identity } = node
    this.#options.registry.remove(node, event)
    const session = this.#byIdentity.get(identity)
    if (session !== undefined) {
      this.#sessions.delete(session.id)
      this.#byIdentity.delete(identity)
      const message = `${node.name} was removed from this network`
      const hint = 'to come back, join with a new token'
      this.#refuse(session.id, { type: 'refused', code: 'removed', message, hint }, effects)
    }
    this.#v6.delete(identity)
    effects.push({ kind: 'revoke', identity })
    this.#tellAll(node, true, effects)
  }

  #refuse(session: SessionId, message: Refusal, effects: HubEffect[]): void {
    this.counters.refused += 1
    effects.push({ kind: 'send', session, message }, { kind: 'close', session })
  }

  #infoOf(node: NodeRecord): NodeInfo {
    const session = this.#byIdentity.get(node.identity)
    return {
      identity: node.identity,
      name: node.name,
      v4: node.v4,
      v6: this.addressOf(node.identity),
      tunnelKey: node.tunnelKey,
      relayRtts: session?.relayRtts ?? {},
      ...(node.previousTunnelKey !== undefined && { previousTunnelKey: node.previousTunnelKey }),
      isOnline: session !== undefined,
    }
  }

  #ticketFor(identity: string): string {
    const bytes = tryParseIdentity(identity)
    if (bytes === undefined) throw new RangeError('no identity')
    const notAfterS = Math.floor(this.#options.wallNowMs() / 1000) + TICKET_LIFETIME_S
    return formatBase64(createTicket(this.#options.identity, bytes, notAfterS))
  }
}

function areValid(identity: Uint8Array, keys: SignedTunnelKeys, nowMs: number): boolean {
  const { tunnelKey, previousTunnelKey = tunnelKey } = keys
  return [tunnelKey, previousTunnelKey].every((key) => 'key' in verifyTunnelKey(identity, key, nowMs))
}

function isConcerned(a: NodeRecord, b: NodeRecord): boolean {
  return a.tags.length === 0 || b.tags.length === 0 || a.tags.some((tag) => b.tags.includes(tag))
}
