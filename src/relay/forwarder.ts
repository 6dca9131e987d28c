/**
 * The relay's decision for each frame: to whom, now or later, or not at all. Sans-IO: it knows clients by
 * proven identity, and whether each can take bytes just now; connections, proofs and limits of rate are
 * its caller's.
 *
 * It sees who speaks with whom and how much, and keeps neither. Messages are sealed end to end; their first
 * byte alone is looked at, to let handshakes and probes go ahead of data.
 *
 * INVARIANT: forwarding to a client costs the sender and the other clients nothing, however slow it is.
 */

import { formatHex } from '../base/bytes.js'
import { MESSAGE_TRANSPORT } from '../wireguard/constants.js'
import {
  decodeFrame,
  encodePeerGone,
  encodePong,
  firstMessageByte,
  type RawFrame,
  readdress,
  recipientOf,
} from './frames.js'
import { Outbox } from './outbox.js'

/** Names a connection; never used again. */
export type ClientId = number

export type RelayEffect =
  /** borrowed: valid until the input's bytes are used again. */
  | { readonly kind: 'write'; readonly client: ClientId; readonly bytes: Uint8Array }
  /** Somebody proved the same identity anew: the older connection is dead or a copy. */
  | { readonly kind: 'close'; readonly client: ClientId }

/** Why frames went nowhere, counted since the start. */
export interface RelayCounters {
  forwarded: number
  /** The recipient is not connected here. */
  notHere: number
  /** A queue was full; the oldest gave way. */
  overflow: number
  /** Neither understood nor for somebody. */
  malformed: number
}

interface Client {
  readonly id: ClientId
  readonly identity: Uint8Array
  readonly outbox: Outbox
  isWritable: boolean
}

export class Forwarder {
  readonly counters: RelayCounters = { forwarded: 0, notHere: 0, overflow: 0, malformed: 0 }
  readonly #byId = new Map<ClientId, Client>()
  readonly #byIdentity = new Map<string, Client>()

  get clientCount(): number {
    return this.#byId.size
  }

  /** `identity`: proven, 32 bytes; kept. */
  add(id: ClientId, identity: Uint8Array, effects: RelayEffect[]): void {
    const key = formatHex(identity)
    const older = this.#byIdentity.get(key)
    if (older !== undefined) {
      this.#byId.delete(older.id)
      effects.push({ kind: 'close', client: older.id })
    }
    const client = { id, identity, outbox: new Outbox(), isWritable: true }
    this.#byId.set(id, client)
    this.#byIdentity.set(key, client)
  }

  /** The connection ended. */
  remove(id: ClientId): void {
    const client = this.#byId.get(id)
    if (client === undefined) return
    this.#byId.delete(id)
    this.#byIdentity.delete(formatHex(client.identity))
  }

  /** `frame` is changed in place. */
  handleFrame(id: ClientId, frame: RawFrame, effects: RelayEffect[]): void {
    const sender = this.#byId.get(id)
    if (sender === undefined) return
    const identity = recipientOf(frame)
    if (identity === undefined) {
      this.#answer(sender, frame, effects)
      return
    }
    const recipient = this.#byIdentity.get(formatHex(identity))
    if (recipient === undefined) {
      this.counters.notHere += 1
      this.#send(sender, encodePeerGone(identity, 'notHere'), true, effects)
      return
    }
    this.counters.forwarded += 1
    const isControl = firstMessageByte(frame) !== MESSAGE_TRANSPORT
    readdress(frame, sender.identity)
    this.#send(recipient, frame.bytes, isControl, effects)
  }

  /** The connection's own buffer is full: what comes from now on waits. */
  handleBlocked(id: ClientId): void {
    const client = this.#byId.get(id)
    if (client !== undefined) client.isWritable = false
  }

  /** It takes bytes again. `isBlockedAfter`: writes one frame and says whether the buffer is full again. */
  handleDrained(id: ClientId, isBlockedAfter: (bytes: Uint8Array) => boolean): void {
    const client = this.#byId.get(id)
    if (client === undefined) return
    client.isWritable = true
    for (let frame = client.outbox.shift(); frame !== undefined; frame = client.outbox.shift()) {
      if (!isBlockedAfter(frame)) continue
      client.isWritable = false
      return
    }
  }

  #answer(sender: Client, raw: RawFrame, effects: RelayEffect[]): void {
    const frame = decodeFrame(raw)
    if (frame?.kind === 'ping') this.#send(sender, encodePong(frame.payload), true, effects)
    else if (frame?.kind !== 'pong') this.counters.malformed += 1
  }

  #send(client: Client, bytes: Uint8Array, isControl: boolean, effects: RelayEffect[]): void {
    if (client.isWritable) effects.push({ kind: 'write', client: client.id, bytes })
    else this.counters.overflow += client.outbox.push(bytes.slice(), isControl)
  }
}
