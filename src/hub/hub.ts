/**
 * The hub's side of all control sessions: who is connected, what each hears. Sans-IO: messages go in, already
 * opened and checked for their form, effects come out. What nodes hear of each other is announcer.ts.
 */

import { formatBase64, tryParseBase64 } from '../base/bytes.js'
import type { DirectoryMessage } from '../control/directory.js'
import { type Identity, isSignedBy, tryParseIdentity } from '../control/identity.js'
import {
  type ConsentMessage,
  type Hello,
  type HubMessage,
  type NodeMessage,
  PROOF_LABEL,
  type Refusal,
  type RelayInfo,
} from '../control/messages.js'
import { createTicket } from '../control/ticket.js'
import { type SignedTunnelKeys, verifyTunnelKey } from '../control/tunnel-key.js'
import type { HostEndpoint } from '../net/endpoint.js'
import type { Crypto } from '../wireguard/crypto.js'
import { Announcer, type Session } from './announcer.js'
import { DirectoryFeed } from './directory-feed.js'
import type { HubEffect, SessionId } from './effects.js'
import { type Registry, removedRefusal } from './registry.js'
import type { NodeRecord } from './store.js'

export interface HubOptions {
  readonly registry: Registry
  readonly crypto: Crypto
  /** Signs tickets. */
  readonly identity: Identity
  readonly relays: () => readonly RelayInfo[]
  readonly stun: readonly HostEndpoint[]
  readonly wallNowMs: () => number
}

/** What went wrong since the start, by kind. */
export interface HubCounters {
  malformed: number
  refused: number
  signals: number
}

export class Hub {
  readonly counters: HubCounters = { malformed: 0, refused: 0, signals: 0 }
  readonly #options: HubOptions
  readonly #sessions = new Map<SessionId, Session>()
  readonly #byIdentity = new Map<string, Session>()
  readonly #announcer: Announcer
  readonly #directory: DirectoryFeed

  constructor(options: HubOptions) {
    this.#options = options
    const { registry, crypto } = options
    this.#announcer = new Announcer({ registry, crypto, sessions: this.#byIdentity })
    this.#directory = new DirectoryFeed(registry, options.wallNowMs)
  }

  get deltas(): number {
    return this.#announcer.deltas
  }

  get onlineCount(): number {
    return this.#byIdentity.size
  }

  isOnline(identity: string): boolean {
    return this.#byIdentity.has(identity)
  }

  addressOf(identity: string): string {
    return this.#announcer.addressOf(identity)
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
      case 'signal':
        this.#handleSignal(session, message, effects)
        break
      case 'consent':
        this.#handleConsent(session, message, effects)
        break
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
    if (node !== undefined) this.#announcer.change(node, effects)
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

  // --- relays ----------------------------------------------------------------------------------

  /** For the hub's own relay when it starts. */
  wholeDirectory(): DirectoryMessage[] {
    return this.#directory.whole()
  }

  /** Whatever has changed the network: relays hear of it before nodes come to them. */
  tellRelays(effects: HubEffect[]): void {
    const messages = this.#directory.takeChanges()
    effects.unshift(...messages.map((message): HubEffect => ({ kind: 'directory', message })))
  }

  // --- administration --------------------------------------------------------------------------

  remove(node: NodeRecord, effects: HubEffect[]): void {
    this.#forget(node, 'node.removed', effects)
  }

  rename(node: NodeRecord, name: string, effects: HubEffect[]): NodeRecord {
    const renamed = this.#options.registry.rename(node, name)
    this.#announcer.introduce(renamed, effects)
    const session = this.#byIdentity.get(node.identity)
    if (session !== undefined) this.#welcome(session, renamed, effects)
    return renamed
  }

  approve(node: NodeRecord, effects: HubEffect[]): NodeRecord {
    const approved = this.#options.registry.approve(node)
    this.#announcer.introduce(approved, effects)
    return approved
  }

  // --- inside ----------------------------------------------------------------------------------

  /** It says what nobody says who means well. */
  #turnAway(id: SessionId, effects: HubEffect[]): void {
    this.counters.malformed += 1
    effects.push({ kind: 'close', session: id })
  }

  #handleHello(id: SessionId, said: Hello, handshakeHash: Uint8Array, effects: HubEffect[]): void {
    const hello = withoutExpired(said, this.#options.wallNowMs())
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
    const { node, isNew } = enrolment
    if (node.state === 'pending') {
      const message = `${node.name} waits for approval`
      const hint = `on the hub, type: overlay hub approve ${node.name}`
      this.#refuse(id, { type: 'refused', code: 'pending', message, hint }, effects)
      return
    }
    this.#admit(id, node, effects)
    if (isNew) this.#announcer.introduce(node, effects)
    else this.#announcer.change(node, effects)
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
    this.#announcer.list(session, effects)
  }

  #welcome(session: Session, node: NodeRecord, effects: HubEffect[]): void {
    const { registry, relays, stun } = this.#options
    const { name: network, prefix4, prefix6, needsConsent } = registry.network
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
      ...(needsConsent && { needsConsent }),
    }
    effects.push({ kind: 'send', session: session.id, message })
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
    if (node !== undefined) this.#announcer.change(node, effects)
  }

  /** Among those who know each other only: it may tell where its sender is. */
  #handleSignal(
    { identity: from }: Session,
    { to, body }: Extract<NodeMessage, { type: 'signal' }>,
    effects: HubEffect[],
  ): void {
    const { registry } = this.#options
    const [receiver, own, other] = [this.#byIdentity.get(to), registry.find(from), registry.find(to)]
    if (receiver === undefined || own === undefined || other === undefined) return
    if (registry.knowledgeOf(own, other) !== 'all') return
    this.counters.signals += 1
    effects.push({ kind: 'send', session: receiver.id, message: { type: 'signal', from, body } })
  }

  #handleConsent(session: Session, { identity, isGiven }: ConsentMessage, effects: HubEffect[]): void {
    const { registry } = this.#options
    const [own, other] = [registry.find(session.identity), registry.find(identity)]
    if (!registry.network.needsConsent || own === undefined || other === undefined || own === other) return
    const before = registry.knowledgeOf(own, other)
    // No answer, as if there were no such node: who may not know of it does not learn that it exists.
    if (isGiven && before === 'nothing') return
    if (registry.consents.set(own, other, isGiven)) {
      this.#announcer.consentChanged([own, other], before, effects)
    }
  }

  #forget(
    node: NodeRecord,
    event: 'node.removed' | 'node.left' | 'node.expired',
    effects: HubEffect[],
  ): void {
    const { identity } = node
    const audience = this.#announcer.audienceOf(node)
    this.#options.registry.remove(node, event)
    const session = this.#byIdentity.get(identity)
    if (session !== undefined) {
      this.#sessions.delete(session.id)
      this.#byIdentity.delete(identity)
      const removal = this.#options.registry.revocations.find(identity)
      if (removal !== undefined) this.#refuse(session.id, removedRefusal(removal), effects)
    }
    this.#announcer.remove(identity, audience, effects)
  }

  #refuse(session: SessionId, message: Refusal, effects: HubEffect[]): void {
    this.counters.refused += 1
    effects.push({ kind: 'send', session, message }, { kind: 'close', session })
  }

  #ticketFor(identity: string): string {
    const bytes = tryParseIdentity(identity)
    if (bytes === undefined) throw new RangeError('no identity')
    const { identity: own, registry } = this.#options
    const terms = { issuedAtS: this.#directory.atS, epoch: registry.revocations.epoch }
    return formatBase64(createTicket(own, bytes, terms))
  }
}

/** A node that was off for long may still offer the key that it had before. */
function withoutExpired(hello: Hello, nowMs: number): Hello {
  const { previousTunnelKey, ...rest } = hello
  return previousTunnelKey === undefined || previousTunnelKey.notAfter * 1000 > nowMs ? hello : rest
}

function areValid(identity: Uint8Array, keys: SignedTunnelKeys, nowMs: number): boolean {
  const { tunnelKey, previousTunnelKey } = keys
  const isPreviousValid =
    previousTunnelKey === undefined ||
    'key' in verifyTunnelKey(identity, previousTunnelKey, nowMs, 'previous')
  return isPreviousValid && 'key' in verifyTunnelKey(identity, tunnelKey, nowMs)
}
