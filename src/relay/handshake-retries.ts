/**
 * Handshake messages that a relay had no way for, sent again. A relay may hear of a peer, or the peer come to
 * the relay, a moment later than this node writes to it, and what WireGuard itself does about a lost
 * message takes seconds. The latest message to each peer is kept for a while. Sans-IO.
 *
 * A message that was refused has reached nobody, so that it comes again is no replay.
 */

import { INITIATION_BYTES, RESPONSE_BYTES } from '../wireguard/constants.js'
import type { RelayMessages } from './relay-outbound.js'

/** Sent again after this time, then after twice of it, four times …: for a second and a half. */
const RETRY_MS = 50
const MAX_TRIES = 5
const MAX_KEPT = 128
/** A relay's refusal takes a round trip, and may wait behind data. */
const KEPT_MS = 2000

interface Kept {
  readonly messages: RelayMessages
  readonly sentAtMs: number
  tries: number
  /** Infinity while it was not refused. */
  dueMs: number
}

export class HandshakeRetries {
  /** By identity. */
  readonly #kept = new Map<string, Kept>()

  /** Only handshakes are kept: a late probe would measure wrongly. */
  handleSent(messages: RelayMessages, nowMs: number): void {
    const { identity, frame, headroom, isControl } = messages
    const sizeBytes = frame.length - headroom
    if (!isControl || (sizeBytes !== INITIATION_BYTES && sizeBytes !== RESPONSE_BYTES)) return
    this.#kept.delete(identity)
    this.#kept.set(identity, { messages, sentAtMs: nowMs, tries: 0, dueMs: Number.POSITIVE_INFINITY })
    if (this.#kept.size <= MAX_KEPT) return
    const [oldest] = this.#kept.keys()
    if (oldest !== undefined) this.#kept.delete(oldest)
  }

  handleRefused(identity: string, nowMs: number): void {
    const kept = this.#kept.get(identity)
    if (kept === undefined || kept.dueMs !== Number.POSITIVE_INFINITY) return
    if (kept.tries >= MAX_TRIES || nowMs - kept.sentAtMs > KEPT_MS) this.#kept.delete(identity)
    else kept.dueMs = nowMs + RETRY_MS * 2 ** kept.tries++
  }

  nextDeadlineMs(): number {
    let nextMs = Number.POSITIVE_INFINITY
    for (const { dueMs } of this.#kept.values()) nextMs = Math.min(nextMs, dueMs)
    return nextMs
  }

  takeDue(nowMs: number): RelayMessages[] {
    const due = [...this.#kept.values()].filter(({ dueMs }) => dueMs <= nowMs)
    for (const kept of due) kept.dueMs = Number.POSITIVE_INFINITY
    return due.map(({ messages }) => messages)
  }
}
