/**
 * The hub's side of all control sessions: who is connected, what each hears. Sans-IO: messages go in, already
 * opened and checked for their form, effects come out. What nodes hear of each other is announcer.ts.
 */

import { formatBase64 } from '../base/bytes.js'
import { AppError, ERROR_CODES } from '../base/errors.js'
import type { DirectoryMessage, RelayHello } from '../control/directory.js'
import { type Identity, tryParseIdentity } from '../control/identity.js'
import type {
  Hello,
  HubKeyMessage,
  HubMessage,
  NodeMessage,
  Place,
  Refusal,
  RelayInfo,
} from '../control/messages.js'
import { createTicket } from '../control/ticket.js'
import type { HostEndpoint } from '../net/endpoint.js'
import type { Crypto } from '../wireguard/crypto.js'
import { Announcer } from './announcer.js'
import { Approval } from './approval.js'
import { Conduct, type Speaker } from './conduct.js'
import { DirectoryFeed } from './directory-feed.js'
import type { HubCounters, HubEffect, SessionId } from './effects.js'
import { Members } from './members.js'
import { isHelloProven, withoutExpired } from './proof.js'
import { removedRefusal, withCommand } from './refusals.js'
import type { Registry } from './registry.js'
import { RelaySessions } from './relay-sessions.js'
import type { Arrival, Session } from './session.js'
import type { Departure, NodeRecord } from './store.js'
import { busyRefusal, StoreError } from './store-error.js'

/** As it is now. */
export interface HubSigning {
  /** Signs tickets. */
  readonly identity: Identity
  /** Proves to relays that `identity` follows another. */
  readonly succession: Uint8Array | undefined
  /** The key of sessions changes; undefined if that is over. */
  readonly change: HubKeyMessage | undefined
}

export interface HubOptions {
  readonly registry: Registry
  readonly crypto: Crypto
  readonly keys: () => HubSigning
  readonly relays: () => readonly RelayInfo[]
  readonly stun: readonly HostEndpoint[]
  readonly nowMs: () => number
  /** Begins the commands that its administrator types: `overlay hub`, and where its state is. */
  readonly command: string
  readonly wallNowMs: () => number
}

export class Hub {
  readonly counters: HubCounters = { malformed: 0, refused: 0, signals: 0, droppedSignals: 0 }
  readonly #options: HubOptions
  readonly #sessions = new Map<SessionId, Session>()
  readonly #byIdentity = new Map<string, Session>()
  readonly #announcer: Announcer
  readonly #conduct: Conduct
  readonly #members: Members
  readonly #directory: DirectoryFeed
  readonly relays: RelaySessions
  readonly #approval = new Approval()

  constructor(options: HubOptions) {
    this.#options = options
    const { registry, crypto } = options
    this.#conduct = new Conduct(options)
    this.#announcer = new Announcer({
      registry,
      crypto,
      sessions: this.#byIdentity,
      mayTell: (identity) => this.#conduct.take(identity, 'news') === 0,
    })
    this.#members = new Members({
      ...options,
      conduct: this.#conduct,
      announcer: this.#announcer,
      counters: this.counters,
      sessions: this.#byIdentity,
      refuse: (id, refusal, effects) => this.#refuse(id, refusal, effects),
    })
    this.#directory = new DirectoryFeed(registry, options.wallNowMs)
    this.relays = new RelaySessions({ ...options, feed: this.#directory })
  }

  get deltas(): number {
    return this.#announcer.deltas
  }

  get onlineCount(): number {
    return this.#byIdentity.size
  }

  isOnline(identity: string): boolean {
    return this.#byIdentity.has(identity) || this.#approval.findByIdentity(identity) !== undefined
  }

  addressOf(identity: string): string {
    return this.#announcer.addressOf(identity)
  }

  /** What keeps going wrong with a node, in words; undefined if nothing did lately. */
  troubleOf(identity: string): string | undefined {
    return this.#conduct.describe(identity)
  }

  // --- sessions --------------------------------------------------------------------------------

  /** A hello of it was accepted, be it that its node has to be approved, and no later one took its place. */
  isMember(id: SessionId): boolean {
    return this.#sessions.has(id) || this.#approval.find(id) !== undefined || this.relays.has(id)
  }

  handleMessage(id: SessionId, message: NodeMessage, speaker: Speaker, effects: HubEffect[]): void {
    try {
      this.#handle(id, message, speaker, effects)
    } catch (error) {
      // Nothing was decided, so nobody else hears of it; the node asks again by itself.
      if (!(error instanceof StoreError)) throw error
      this.#refuse(id, busyRefusal(error), effects)
    }
  }

  #handle(id: SessionId, message: NodeMessage, speaker: Speaker, effects: HubEffect[]): void {
    const session = this.#sessions.get(id)
    if (session === undefined) {
      const waiting = this.#approval.find(id)
      if (waiting !== undefined) this.#handleWaiting(waiting, message, effects)
      else if (this.relays.has(id)) this.relays.handleMessage(id, message, effects)
      else if (message.type === 'relay') this.#handleRelay(id, message, speaker, effects)
      else if (message.type === 'hello') this.#handleHello(id, message, speaker, effects)
      else this.#turnAway(id, effects)
      return
    }
    session.heardAtMs = this.#options.nowMs()
    switch (message.type) {
      case 'hello':
      case 'relay':
      case 'heard':
        this.#turnAway(id, effects)
        break
      case 'update':
        this.#members.handleUpdate(session, message, effects)
        break
      case 'signal':
        this.#members.handleSignal(session, message, effects)
        break
      case 'consent':
        this.#members.handleConsent(session, message, effects)
        break
      case 'ping':
        if (this.#conduct.take(session.identity, 'ping') > 0) break
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

  /** It said more than anybody has to say. */
  handleFlood(id: SessionId, effects: HubEffect[]): void {
    const session = this.#sessions.get(id) ?? this.#approval.find(id)
    const node = session && this.#options.registry.find(session.identity)
    if (node !== undefined) this.#refuse(id, this.#conduct.flooded(node), effects)
  }

  /** The hub ends: all sessions are closed, whether that was told of each or not. */
  handleStop(): void {
    for (const id of [...this.#sessions.keys()]) this.handleClosed(id, [])
  }

  handleClosed(id: SessionId, effects: HubEffect[]): void {
    this.relays.handleClosed(id)
    const session = this.#sessions.get(id)
    const identity = session?.identity ?? this.#approval.find(id)?.identity
    if (identity === undefined) return
    const { registry } = this.#options
    this.#approval.close(id)
    if (session !== undefined) {
      this.#sessions.delete(id)
      this.#byIdentity.delete(identity)
    }
    registry.seen(identity, true)
    const node = registry.find(identity)
    if (node !== undefined) this.#announcer.news(node, effects)
  }

  /**
   * From time to time: tells what had to wait, saves who was seen when, and removes what has been away too
   * long.
   */
  handleTimeout(effects: HubEffect[]): void {
    this.#announcer.tellDelayed(effects)
    // A node that cannot be removed from the store stays a node.
    if (!this.#options.registry.flush()) return
    try {
      for (const node of this.#options.registry.expired((identity) => this.isOnline(identity))) {
        this.#forget(node, 'node.expired', effects)
      }
    } catch (error) {
      // What was done before stays done, and is told.
      if (!(error instanceof StoreError)) throw error
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

  /** The keys of this hub change, or the change is over: everybody hears what is new of it. */
  keysChanged(effects: HubEffect[]): void {
    const sessions = [...this.#byIdentity.values(), ...this.#approval.arrivals]
    for (const { id } of sessions) this.#tellKeyChange(id, effects)
    this.relays.tellKeyChange(effects)
    this.renewTickets(effects)
  }

  // --- relays ----------------------------------------------------------------------------------

  /** For the hub's own relay when it starts. */
  wholeDirectory(): DirectoryMessage[] {
    return this.#directory.whole()
  }

  /** Whatever has changed the network: relays hear of it before nodes come to them. */
  tellRelays(effects: HubEffect[]): void {
    const messages = this.#directory.takeChanges()
    const own = messages.map((message): HubEffect => ({ kind: 'directory', message }))
    effects.unshift(...own, ...this.relays.tell(messages))
  }

  /** The network has other relays than before. */
  handleRelaysChanged(effects: HubEffect[]): void {
    this.relays.handleSettings(effects)
    for (const session of this.#byIdentity.values()) {
      const node = this.#options.registry.find(session.identity)
      if (node !== undefined) this.#welcome(session, node, effects)
    }
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
    const waiting = this.#approval.findByIdentity(node.identity)
    if (waiting !== undefined) this.#tellPending(waiting.id, renamed, effects)
    return renamed
  }

  /** Nothing happens if it is in the network already. */
  approve(node: NodeRecord, effects: HubEffect[]): NodeRecord {
    if (node.state === 'approved') return node
    const approved = this.#options.registry.approve(node)
    const arrival = this.#approval.findByIdentity(node.identity)
    if (arrival !== undefined) {
      this.#approval.close(arrival.id)
      this.#admit(arrival, approved, effects)
    }
    this.#announcer.introduce(approved, effects)
    return approved
  }

  /** Throws AppError if it does not wait. */
  reject(node: NodeRecord, effects: HubEffect[]): void {
    if (node.state !== 'pending') {
      throw new AppError(ERROR_CODES.conflict, `${node.name} does not wait for approval`, {
        hint: `to put it out of the network: overlay hub remove ${node.name}`,
      })
    }
    this.#forget(node, 'node.rejected', effects)
  }

  /** Takes effect at once: who may not know each other any more lose each other. Throws AppError. */
  setTags(node: NodeRecord, tags: readonly string[], effects: HubEffect[]): NodeRecord {
    const { registry } = this.#options
    const others = [...registry.nodes].filter((other) => other.identity !== node.identity)
    const before = others.map((other) => [other, registry.knowledgeOf(node, other)] as const)
    const tagged = registry.setTags(node, tags)
    for (const [other, knowledge] of before) {
      if (registry.knowledgeOf(tagged, other) === knowledge) continue
      this.#announcer.knowledgeChanged([tagged, other], knowledge, effects)
    }
    return tagged
  }

  // --- inside ----------------------------------------------------------------------------------

  /** It says what nobody says who means well. */
  #turnAway(id: SessionId, effects: HubEffect[]): void {
    this.counters.malformed += 1
    effects.push({ kind: 'close', session: id })
  }

  #handleRelay(id: SessionId, hello: RelayHello, { handshakeHash }: Speaker, effects: HubEffect[]): void {
    const refusal = this.relays.handleHello(id, hello, handshakeHash, effects)
    if (refusal !== undefined) this.#refuse(id, refusal, effects)
  }

  #handleHello(id: SessionId, said: Hello, speaker: Speaker, effects: HubEffect[]): void {
    const nowMs = this.#options.wallNowMs()
    const hello = withoutExpired(said, nowMs)
    const isProven =
      isHelloProven(hello, speaker.handshakeHash, nowMs) &&
      !this.#options.registry.isKeyOfAnother(hello.identity, hello)
    if (!isProven) {
      this.counters.malformed += 1
      const hint =
        "if this machine's clock is right, its key file is damaged: leave the network and join anew"
      this.#refuse(
        id,
        { type: 'refused', code: 'malformed', message: 'the node did not prove its keys', hint },
        effects,
      )
      return
    }
    const restraint = this.#conduct.restraintOnHello(hello, speaker, this.#byIdentity.get(hello.identity))
    if (restraint !== undefined) {
      this.#refuse(id, restraint, effects)
      return
    }
    const enrolment = this.#options.registry.enrol(hello)
    if ('refusal' in enrolment) {
      this.#refuse(id, enrolment.refusal, effects)
      return
    }
    const { node, isNew } = enrolment
    const arrival = { id, identity: node.identity, from: speaker.from, run: hello.run }
    if (node.state === 'pending') {
      this.#approval.open(arrival, effects)
      this.#tellPending(id, node, effects)
      return
    }
    this.#admit(arrival, node, effects)
    if (isNew) this.#announcer.introduce(node, effects)
    else this.#announcer.news(node, effects)
  }

  #admit(arrival: Arrival, node: NodeRecord, effects: HubEffect[]): void {
    const { id, run } = arrival
    const older = this.#byIdentity.get(node.identity)
    if (older !== undefined) this.#giveWay(older, run, node, effects)
    this.#conduct.admitted(node.identity, run)
    const session: Session = { ...arrival, relayRtts: {}, heardAtMs: this.#options.nowMs() }
    this.#sessions.set(id, session)
    this.#byIdentity.set(node.identity, session)
    this.#welcome(session, node, effects)
    this.#announcer.list(session, effects)
  }

  /** The same run dialled anew, and knows; anybody else is told. */
  #giveWay(older: Session, run: string | undefined, node: NodeRecord, effects: HubEffect[]): void {
    this.#sessions.delete(older.id)
    if (run !== undefined && run === older.run) {
      effects.push({ kind: 'close', session: older.id })
      return
    }
    this.#refuse(older.id, this.#conduct.gaveWay(node), effects)
  }

  #welcome(session: Session, node: NodeRecord, effects: HubEffect[]): void {
    const { registry, relays, stun } = this.#options
    const { needsConsent } = registry.network
    const message: HubMessage = {
      type: 'welcome',
      ...this.#placeOf(node),
      relays: [...relays()],
      stun: [...stun],
      ticket: this.#ticketFor(node.identity),
      nowS: this.#nowS(),
      ...(needsConsent && { needsConsent }),
    }
    effects.push({ kind: 'send', session: session.id, message })
    this.#tellKeyChange(session.id, effects)
  }

  #tellKeyChange(session: SessionId, effects: HubEffect[]): void {
    const { change } = this.#options.keys()
    if (change !== undefined) effects.push({ kind: 'send', session, message: change })
  }

  #tellPending(session: SessionId, node: NodeRecord, effects: HubEffect[]): void {
    const hint = `on the hub, type: ${this.#options.command} approve ${node.name}`
    effects.push({ kind: 'send', session, message: { type: 'pending', ...this.#placeOf(node), hint } })
    this.#tellKeyChange(session, effects)
  }

  #placeOf(node: NodeRecord): Place {
    const { name: network, prefix4, prefix6 } = this.#options.registry.network
    return { network, prefix4, prefix6, name: node.name, v4: node.v4, v6: this.addressOf(node.identity) }
  }

  /** It is no part of the network: what it says of its keys and paths is of no use to anybody. */
  #handleWaiting({ id, identity }: Arrival, message: NodeMessage, effects: HubEffect[]): void {
    const { registry } = this.#options
    if (message.type === 'ping') {
      if (this.#conduct.take(identity, 'ping') > 0) return
      registry.seen(identity)
      effects.push({ kind: 'send', session: id, message: { type: 'pong' } })
    } else if (message.type === 'leave') {
      const node = registry.find(identity)
      if (node !== undefined) this.#forget(node, 'node.left', effects)
    } else if (message.type === 'hello') {
      this.#approval.close(id)
      this.#turnAway(id, effects)
    }
  }

  #forget(node: NodeRecord, event: Departure, effects: HubEffect[]): void {
    const { identity } = node
    const audience = this.#announcer.audienceOf(node)
    this.#options.registry.remove(node, event)
    const session = (this.#byIdentity.get(identity) ?? this.#approval.findByIdentity(identity))?.id
    if (session !== undefined) {
      this.#sessions.delete(session)
      this.#byIdentity.delete(identity)
      this.#approval.close(session)
      const removal = this.#options.registry.revocations.find(identity)
      if (removal !== undefined) this.#refuse(session, removedRefusal(removal), effects)
    }
    this.#conduct.forget(identity)
    this.#announcer.remove(identity, audience, effects)
  }

  #refuse(session: SessionId, message: Refusal, effects: HubEffect[]): void {
    this.counters.refused += 1
    const hint = withCommand(message.hint, this.#options.command)
    const said = { ...message, hint, nowS: this.#nowS() }
    effects.push({ kind: 'send', session, message: said }, { kind: 'close', session })
  }

  #nowS(): number {
    return Math.floor(this.#options.wallNowMs() / 1000)
  }

  #ticketFor(identity: string): string {
    const bytes = tryParseIdentity(identity)
    if (bytes === undefined) throw new RangeError('no identity')
    const { registry, keys } = this.#options
    const { identity: own, succession } = keys()
    const terms = { issuedAtS: this.#directory.atS, epoch: registry.revocations.epoch }
    return formatBase64(createTicket(own, bytes, terms, succession))
  }
}
