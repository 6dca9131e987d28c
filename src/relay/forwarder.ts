/**
 * The relay's decision for each frame of an admitted client: to whom, now or later, or not at all. Sans-IO: it
 * knows clients by proven identity, and whether each can take bytes just now.
 *
 * A client opens a number for each identity that it writes to, and the directory is asked then, and again
 * when it changes. The relay sees who speaks with whom and how much, and keeps neither. What it forwards is
 * sealed from node to node; what goes ahead of data must look like a handshake or a probe.
 *
 * INVARIANT: forwarding to a client costs the sender and the other clients nothing, however slow it is.
 */

import { formatBase64 } from '../base/bytes.js'
import type { RelayDirectory } from './directory.js'
import { bodyOf, decodeTrain, FRAME, type RawFrame } from './frames.js'
import {
  type Channel,
  type ClientId,
  idlestOf,
  type RelayEffect,
  type RelaySession,
} from './relay-session.js'
import {
  decodeSessionFrame,
  isControlMessage,
  MAX_SESSION_FRAME_BYTES,
  type RelayClosing,
  type RelayRefusal,
  type SessionFrame,
} from './session-frames.js'

/** Numbers of all sessions together, and of one session at most and at least. */
const ALL_NUMBERS = 1 << 18
const MAX_NUMBERS = 1024
const MIN_NUMBERS = 64

/** Why frames went nowhere, counted since the start. */
export interface ForwarderCounters {
  forwarded: number
  /** The recipient is not connected here. */
  notHere: number
  /** The two may not know each other. */
  notAllowed: number
  /** A queue was full; the oldest of who had most in it gave way. */
  overflow: number
  /** Neither understood nor for somebody. */
  malformed: number
  /** Neither transport data nor what may go ahead of it. */
  junk: number
  /** With a number that is not open. */
  unknownNumber: number
  /** Sealed frames beyond what a client may send. */
  sealedLimited: number
}

export class Forwarder {
  readonly counters: ForwarderCounters = {
    forwarded: 0,
    notHere: 0,
    notAllowed: 0,
    overflow: 0,
    malformed: 0,
    junk: 0,
    unknownNumber: 0,
    sealedLimited: 0,
  }
  readonly #directory: RelayDirectory
  readonly #byId = new Map<ClientId, RelaySession>()
  readonly #byIdentity = new Map<string, RelaySession>()

  constructor(directory: RelayDirectory) {
    this.#directory = directory
  }

  get clientCount(): number {
    return this.#byId.size
  }

  /** For RelaySessionOptions: the fewer the more sessions there are. */
  readonly maxNumbers = (): number =>
    Math.max(MIN_NUMBERS, Math.min(MAX_NUMBERS, Math.floor(ALL_NUMBERS / Math.max(1, this.#byId.size))))

  has(id: ClientId): boolean {
    return this.#byId.has(id)
  }

  /** Whoever had the same identity is let go: that connection is dead, or a copy. */
  add(session: RelaySession, effects: RelayEffect[]): void {
    const older = this.#byIdentity.get(session.identity)
    if (older !== undefined) this.#dismiss(older, 'replaced', effects)
    this.#byId.set(session.id, session)
    this.#byIdentity.set(session.identity, session)
  }

  /** The connection ended. */
  remove(id: ClientId, effects: RelayEffect[]): void {
    const session = this.#byId.get(id)
    if (session === undefined) return
    this.#byId.delete(id)
    this.#byIdentity.delete(session.identity)
    for (const channel of session.named.values()) channel.named = undefined
    for (const channel of session.opened.values()) channel.to.unname(channel, effects)
    session.end()
  }

  /** See Relay.handleDirectoryChange. */
  handleDirectoryChange(revoked: ReadonlySet<string>, effects: RelayEffect[]): void {
    for (const identity of revoked) {
      const session = this.#byIdentity.get(identity)
      if (session !== undefined) this.#dismiss(session, 'revoked', effects)
    }
    for (const session of this.#byId.values()) {
      for (const channel of [...session.opened.values()]) {
        if (this.#directory.mayTalk(session.identity, channel.identity)) continue
        this.counters.notAllowed += 1
        session.close(channel, 'notAllowed', effects)
      }
    }
  }

  /** `frame` is changed in place. */
  handleFrame(id: ClientId, frame: RawFrame, nowMs: number, effects: RelayEffect[]): void {
    const session = this.#byId.get(id)
    if (session === undefined) return
    if (frame.type === FRAME.sealed) this.#handleSealed(session, frame, nowMs, effects)
    else this.#handleTrain(session, frame, nowMs, effects)
  }

  /** It sent more than it may: the frame is passed over. */
  skipFrame(id: ClientId, frame: RawFrame): void {
    if (frame.type === FRAME.sealed) this.#byId.get(id)?.skip()
  }

  reply(id: ClientId, frame: SessionFrame, effects: RelayEffect[]): void {
    this.#byId.get(id)?.reply(frame, effects)
  }

  /** The connection's own buffer is full: what comes from now on waits. */
  handleBlocked(id: ClientId): void {
    this.#byId.get(id)?.handleBlocked()
  }

  /** It takes bytes again. `isBlockedAfter`: writes one frame and says whether the buffer is full again. */
  handleDrained(id: ClientId, isBlockedAfter: (bytes: Uint8Array) => boolean): void {
    this.#byId.get(id)?.handleDrained(isBlockedAfter)
  }

  // --- frames ----------------------------------------------------------------------------------

  #handleTrain(session: RelaySession, frame: RawFrame, nowMs: number, effects: RelayEffect[]): void {
    const train = decodeTrain(frame)
    if (train === undefined) {
      this.counters.junk += 1
      return
    }
    const channel = this.#channelOf(session, train.number, nowMs, effects)
    if (channel === undefined) return
    this.counters.forwarded += 1
    this.counters.overflow += channel.to.forward(channel, frame.bytes, DATA, effects)
  }

  #handleSealed(session: RelaySession, raw: RawFrame, nowMs: number, effects: RelayEffect[]): void {
    if (!session.sealedBudget.tryTake(1, nowMs)) {
      this.counters.sealedLimited += 1
      session.skip()
      return
    }
    const sealed = bodyOf(raw)
    const plain = sealed.length > MAX_SESSION_FRAME_BYTES ? undefined : session.noise.open(sealed)
    if (plain === undefined) {
      this.counters.malformed += 1
      this.#dismiss(session, 'proof', effects)
      return
    }
    const frame = decodeSessionFrame(plain)
    switch (frame?.kind) {
      case 'message':
        this.#handleMessage(session, frame, nowMs, effects)
        break
      case 'open':
        this.#handleOpen(session, frame, nowMs, effects)
        break
      case 'released': {
        const channel = session.opened.get(frame.number)
        if (channel !== undefined) session.close(channel, undefined, effects)
        break
      }
      case 'ticket':
        this.#handleTicket(session, frame.ticket, nowMs)
        break
      case 'ping':
        session.reply({ kind: 'pong', payload: frame.payload }, effects)
        break
      default:
        this.counters.malformed += 1
    }
  }

  /** Only its time matters, which the directory keeps; whoever may stay no longer is let go by a change of that. */
  #handleTicket(session: RelaySession, ticket: Uint8Array, nowMs: number): void {
    if (session.ticketBudget.tryTake(1, nowMs)) this.#directory.mayEnter(session.identityBytes, ticket)
    else this.counters.sealedLimited += 1
  }

  #handleMessage(
    session: RelaySession,
    { number, message }: { readonly number: number; readonly message: Uint8Array },
    nowMs: number,
    effects: RelayEffect[],
  ): void {
    if (!isControlMessage(message)) {
      this.counters.junk += 1
      return
    }
    const channel = this.#channelOf(session, number, nowMs, effects)
    if (channel === undefined) return
    const isControl = session.controlBudget.tryTake(message.length, nowMs)
    this.counters.forwarded += 1
    this.counters.overflow += channel.to.forward(channel, message, { isSealed: true, isControl }, effects)
  }

  #handleOpen(
    session: RelaySession,
    { number, identity }: { readonly number: number; readonly identity: Uint8Array },
    nowMs: number,
    effects: RelayEffect[],
  ): void {
    if (number <= session.highestOpened) {
      this.counters.malformed += 1
      return
    }
    session.highestOpened = number
    const to = formatBase64(identity)
    const before = session.openedTo.get(to)
    if (before !== undefined) session.close(before, undefined, effects)
    const refuse = (reason: RelayClosing): void => session.reply({ kind: 'closed', number, reason }, effects)
    if (to === session.identity || !this.#directory.mayTalk(session.identity, to)) {
      this.counters.notAllowed += 1
      refuse('notAllowed')
      return
    }
    const recipient = this.#byIdentity.get(to)
    if (recipient === undefined) {
      this.counters.notHere += 1
      refuse('notHere')
      return
    }
    if (session.opened.size >= this.maxNumbers()) {
      const idlest = idlestOf(session.opened.values())
      if (idlest !== undefined) session.close(idlest, 'idle', effects)
    }
    session.open({ from: session, identity: to, number, named: undefined, to: recipient, usedAtMs: nowMs })
  }

  /** Undefined if the number leads nowhere now; its owner is told. */
  #channelOf(
    session: RelaySession,
    number: number,
    nowMs: number,
    effects: RelayEffect[],
  ): Channel | undefined {
    const channel = session.opened.get(number)
    if (channel === undefined) {
      this.counters.unknownNumber += 1
      // What was on the way when a number ended needs no answer.
      const isLost = session.hasSkipped || number > session.highestOpened
      if (isLost && session.sealedBudget.tryTake(1, nowMs)) {
        session.reply({ kind: 'closed', number, reason: 'unknown' }, effects)
      }
      return undefined
    }
    channel.usedAtMs = nowMs
    if (!channel.to.isGone) return channel
    // It may have come again: its sender need not know.
    const again = this.#byIdentity.get(channel.identity)
    if (again === undefined) {
      this.counters.notHere += 1
      session.close(channel, 'notHere', effects)
      return undefined
    }
    channel.to = again
    return channel
  }

  #dismiss(session: RelaySession, reason: RelayRefusal, effects: RelayEffect[]): void {
    session.reply({ kind: 'refused', reason }, effects)
    this.remove(session.id, effects)
    effects.push({ kind: 'close', client: session.id })
  }
}

const DATA = { isSealed: false, isControl: false } as const
