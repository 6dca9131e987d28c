/**
 * What a node sends over its session with a relay: the numbers that it opened, and what waits, control ahead of
 * data. A number is opened, and a message sealed, at the moment of writing, so that what gives way in the
 * queue leaves no gap in the session's counters.
 */

import { tryParseIdentity } from '../control/identity.js'
import type { NoiseSession } from '../control/noise-nk.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import { encodeFrame, FRAME, frameInPlace } from './frames.js'
import { Outbox } from './outbox.js'
import {
  encodeSessionFrame,
  isControlMessage,
  type RelayClosing,
  type SessionFrame,
} from './session-frames.js'

/** As many as a relay takes, forwarder.ts; the one that was idle for longest gives way. */
const MAX_OPEN = 1024
const FIRST_NUMBER_MASK = 0x7fff_ffff
/** Data for a peer that the relay just did not know is not sent to be dropped there; control asks again. */
const CLOSED_PAUSE_MS = 100
const MAX_CLOSED = 1024

export interface RelayMessages {
  /** Base64: who they are for. */
  readonly identity: string
  /** Messages behind `headroom` free bytes; handed over. */
  readonly frame: Uint8Array
  readonly headroom: number
  readonly segmentBytes: number
  readonly isControl: boolean
}

interface Waiting extends RelayMessages {
  readonly length: number
}

interface Open {
  readonly number: number
  usedAtMs: number
}

type Write = (bytes: Uint8Array) => void

export class RelayOutbound {
  readonly #noise: NoiseSession
  readonly #outbox = new Outbox<Waiting>()
  /** By identity. */
  readonly #open = new Map<string, Open>()
  readonly #identities = new Map<number, string>()
  /** Identity → until when no data is sent to it. */
  readonly #closedUntil = new Map<string, number>()
  readonly #firstNumber: number
  #nextNumber: number

  constructor(noise: NoiseSession, random: RandomBytes) {
    this.#noise = noise
    const [a = 0, b = 0, c = 0, d = 0] = random(4)
    this.#firstNumber = ((a << 24) | (b << 16) | (c << 8) | d) & FIRST_NUMBER_MASK
    this.#nextNumber = this.#firstNumber
  }

  /** Until the connection takes bytes again. Returns how many gave way. */
  push(messages: RelayMessages): number {
    return this.#outbox.push({ ...messages, length: messages.frame.length }, messages.isControl)
  }

  /** Returns how many were not written: there is nobody to take them now. */
  write(messages: RelayMessages, nowMs: number, write: Write): number {
    const { identity, frame, headroom, segmentBytes, isControl } = messages
    const message = isControl ? frame.subarray(headroom) : undefined
    const isUnfit = message !== undefined && !isControlMessage(message)
    if (isUnfit || (!isControl && (this.#closedUntil.get(identity) ?? 0) > nowMs)) return 1
    const number = this.#numberFor(identity, nowMs, write)
    if (number === undefined) return 1
    if (message === undefined) write(frameInPlace(frame, headroom, { number, segmentBytes }))
    else this.#say({ kind: 'message', number, message }, write)
    return 0
  }

  /** Returns whether the connection's buffer is full again. */
  drain(nowMs: number, isBlockedAfter: (bytes: Uint8Array) => boolean): boolean {
    let isBlocked = false
    while (!isBlocked) {
      const next = this.#outbox.shift()
      if (next === undefined) break
      this.write(next, nowMs, (bytes) => {
        isBlocked = isBlockedAfter(bytes) || isBlocked
      })
    }
    return isBlocked
  }

  /** This peer is there: what the relay said of it is no longer so. */
  handleHeard(identity: string): void {
    if (this.#closedUntil.size > 0) this.#closedUntil.delete(identity)
  }

  /** Whether it was opened in this session, ever. */
  wasOpen(number: number): boolean {
    return number >= this.#firstNumber && number < this.#nextNumber
  }

  /** The relay ended a number. Returns who is gone, if somebody is. */
  handleClosed(number: number, reason: RelayClosing, nowMs: number): string | undefined {
    const identity = this.#identities.get(number)
    if (identity === undefined) return undefined
    this.#identities.delete(number)
    this.#open.delete(identity)
    if (reason === 'idle' || reason === 'unknown') return undefined
    if (this.#closedUntil.size >= MAX_CLOSED) this.#closedUntil.clear()
    this.#closedUntil.set(identity, nowMs + CLOSED_PAUSE_MS)
    return identity
  }

  #numberFor(identity: string, nowMs: number, write: Write): number | undefined {
    const open = this.#open.get(identity)
    if (open !== undefined) {
      open.usedAtMs = nowMs
      return open.number
    }
    const bytes = tryParseIdentity(identity)
    if (bytes === undefined) return undefined
    if (this.#open.size >= MAX_OPEN) this.#releaseIdlest(write)
    const number = this.#nextNumber++
    this.#open.set(identity, { number, usedAtMs: nowMs })
    this.#identities.set(number, identity)
    this.#say({ kind: 'open', number, identity: bytes }, write)
    return number
  }

  #releaseIdlest(write: Write): void {
    let idlest: [string, Open] | undefined
    for (const entry of this.#open)
      if (idlest === undefined || entry[1].usedAtMs < idlest[1].usedAtMs) idlest = entry
    if (idlest === undefined) return
    const [identity, { number }] = idlest
    this.#open.delete(identity)
    this.#identities.delete(number)
    this.#say({ kind: 'released', number }, write)
  }

  #say(frame: SessionFrame, write: Write): void {
    write(encodeFrame(FRAME.sealed, this.#noise.seal(encodeSessionFrame(frame))))
  }
}
