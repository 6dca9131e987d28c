/** A relay and its clients, joined by streams that lose nothing unless a test says so. */

import { type Identity, identityFromSeed } from '../../src/control/identity.js'
import type { Endpoint } from '../../src/net/endpoint.js'
import type { RelayDirectory } from '../../src/relay/directory.js'
import { FrameReader } from '../../src/relay/frame-reader.js'
import { Relay } from '../../src/relay/relay.js'
import { RelayClient, type RelayClientEffect } from '../../src/relay/relay-client.js'
import type { RelayEffect } from '../../src/relay/relay-session.js'
import type { DhPrivateKey } from '../../src/wireguard/crypto.js'
import { nodeCrypto } from '../../src/wireguard/crypto-node.js'
import type { PublicKey } from '../../src/wireguard/keys.js'
import { countingBytes } from './hex.js'
import { seededRandom } from './seeded-random.js'
import { endpoint } from './simulated-nat.js'

export const RELAY_KEY: DhPrivateKey = nodeCrypto.dhPrivateKey(countingBytes(32, 60))
export const REMOTE: Endpoint = endpoint('203.0.113.7', 4444)
const HEADROOM = 64

/** Everybody may come in and speak with everybody. */
export const OPEN_DIRECTORY: RelayDirectory = { mayEnter: () => true, mayTalk: () => true }

export function identityOf(number: number): Identity {
  return identityFromSeed(countingBytes(32, number))
}

/** Transport data of WireGuard, as far as a relay can tell. */
export function dataMessage(mark: number, sizeBytes = 64): Uint8Array {
  const message = new Uint8Array(sizeBytes).fill(mark)
  message.set([4, 0, 0, 0])
  return message
}

/** A handshake initiation, as far as a relay can tell. */
export function initiation(mark: number): Uint8Array {
  const message = new Uint8Array(148).fill(mark)
  message.set([1, 0, 0, 0])
  return message
}

export interface ConnectOptions {
  readonly ticket?: Uint8Array
  readonly relayKey?: PublicKey
}

/** What is on the way in one direction; a test may look, hold back, or put something in. */
interface Wire {
  readonly toRelay: Uint8Array[]
  readonly toClient: Uint8Array[]
}

export class RelayWorld {
  nowMs = 1000
  readonly relay: Relay
  readonly clients: Map<number, RelayClient> = new Map()
  readonly seen: Map<number, RelayClientEffect[]> = new Map()
  readonly closed: Set<number> = new Set()
  /** All that ever went over each connection. */
  readonly wires: Map<number, Wire> = new Map()
  /** Clients that take nothing: their connections are full. */
  readonly #blocked = new Set<number>()
  readonly #readers = new Map<number, FrameReader>()

  constructor(directory: RelayDirectory = OPEN_DIRECTORY, maxBytesPerS: number = Number.POSITIVE_INFINITY) {
    this.relay = new Relay({
      key: RELAY_KEY,
      crypto: nodeCrypto,
      random: seededRandom(3),
      directory,
      maxBytesPerS,
    })
  }

  connect(id: number, identity: Identity, options: ConnectOptions = {}): void {
    const { ticket = new Uint8Array(0), relayKey = RELAY_KEY.publicKey } = options
    const random = seededRandom(1000 + id)
    this.clients.set(id, new RelayClient({ identity, relayKey, ticket, crypto: nodeCrypto, random }))
    this.accept(id)
    this.turn(id, (client, list) => client.start(this.nowMs, list))
  }

  /** A connection behind which there is no client of ours. */
  accept(id: number): void {
    this.#readers.set(id, new FrameReader())
    this.wires.set(id, { toRelay: [], toClient: [] })
    this.seen.set(id, [])
    this.#atRelay((effects) => this.relay.handleConnected(id, REMOTE, this.nowMs, effects))
  }

  /** Something happens at a client. */
  turn(id: number, input: (client: RelayClient, effects: RelayClientEffect[]) => void): void {
    const client = this.clients.get(id)
    if (client === undefined) return
    const list: RelayClientEffect[] = []
    input(client, list)
    for (const effect of list) {
      if (effect.kind === 'write') this.toRelay(id, effect.bytes)
      else if (effect.kind === 'messages') {
        this.seen.get(id)?.push({ ...effect, messages: effect.messages.slice() })
      } else this.seen.get(id)?.push(effect)
    }
    if (list.some(({ kind }) => kind === 'usable')) this.turn(id, (one, effects) => one.prove(effects))
  }

  /** Bytes come to the relay on a connection. */
  toRelay(id: number, bytes: Uint8Array): void {
    this.wires.get(id)?.toRelay.push(bytes.slice())
    const copy = bytes.slice()
    this.#atRelay((effects) => {
      this.#readers.get(id)?.push(copy, (frame) => this.relay.handleFrame(id, frame, this.nowMs, effects))
    })
  }

  /** Bytes come to a client, from whomever. */
  toClient(id: number, bytes: Uint8Array): void {
    this.wires.get(id)?.toClient.push(bytes.slice())
    this.turn(id, (client, list) => client.handleBytes(bytes.slice(), this.nowMs, list))
  }

  send(
    from: number,
    to: Identity,
    messages: Uint8Array,
    segmentBytes: number = messages.length,
  ): number | undefined {
    const frame = new Uint8Array(HEADROOM + messages.length)
    frame.set(messages, HEADROOM)
    const isControl = messages[0] !== 4
    let dropped: number | undefined
    this.turn(from, (client, list) => {
      const what = { identity: to.text, frame, headroom: HEADROOM, segmentBytes, isControl }
      dropped = client.send(what, this.nowMs, list)
    })
    return dropped
  }

  /** Nothing more fits into the connection of a client. */
  block(id: number): void {
    this.#blocked.add(id)
    this.relay.handleBlocked(id)
  }

  /** It takes bytes again, so many frames of them. */
  drain(id: number, frames: number = Number.POSITIVE_INFINITY): void {
    this.#blocked.delete(id)
    const written: Uint8Array[] = []
    this.relay.handleDrained(id, (bytes) => {
      written.push(bytes.slice())
      return written.length >= frames
    })
    for (const bytes of written) this.toClient(id, bytes)
  }

  close(id: number): void {
    this.closed.add(id)
    this.#atRelay((effects) => this.relay.handleClosed(id, effects))
  }

  change(revoked: readonly string[] = []): void {
    this.#atRelay((effects) => this.relay.handleDirectoryChange(new Set(revoked), effects))
  }

  kinds(id: number): string[] {
    return (this.seen.get(id) ?? []).map(({ kind }) => kind)
  }

  /** Of each message that a client got, who it is from and the byte that marks it. */
  received(id: number): [identity: string, mark: number][] {
    return (this.seen.get(id) ?? []).flatMap((effect) =>
      effect.kind === 'messages' ? [[effect.identity, effect.messages.at(-1) ?? 0]] : [],
    )
  }

  #atRelay(input: (effects: RelayEffect[]) => void): void {
    const effects: RelayEffect[] = []
    input(effects)
    for (const effect of effects) {
      if (effect.kind === 'close') {
        if (!this.closed.has(effect.client)) this.close(effect.client)
      } else if (!this.#blocked.has(effect.client)) this.toClient(effect.client, effect.bytes)
    }
  }
}
