/**
 * Disco: the probe messages by which two nodes find a path between them. They share sockets with
 * WireGuard and STUN, and only the two of a pair can read, make or even attribute them.
 *
 * | offset | size | field |
 * | 0  | 4  | magic 6f 76 6c 01: "ovl", version 1; neither a WireGuard type nor a STUN message |
 * | 4  | 8  | tag: names the sender to this receiver only |
 * | 12 | 24 | nonce, random |
 * | 36 | n  | XChaCha20-Poly1305(pair key, type 1 · body · zero padding), the 12 bytes before the nonce as data |
 *
 * | type | body |
 * | 1 ping | txid 12 |
 * | 2 pong | txid 12 · endpoint 18 that the ping came from · run 4, drawn by the sender when it started · ms since the last authentic message 4, ffffffff none, fffffffe none, and no keypair |
 * | 3 call | TAI64N 12 · mapping 1, 0x80 set where ports come in order, 0x40 where a path was lost, 0x20 where TCP is tried, 0x10 where a large search begins · lowest port 2 · highest port 2 · count 1 · count × (kind 1 · endpoint 18) |
 *
 * An endpoint is an address of 16 bytes, v4-mapped if need be, and a port of 2; numbers are big-endian.
 * Pair key κ = KDF1("overlay disco v1", DH(tunnel keys)), the sender's tag Mac(κ, its public key) cut to 8
 * bytes: no public key is on the wire, and a stranger's datagram costs one look into a map. Nodes that change
 * their tunnel keys have several pair keys for a while: see disco-pair.ts.
 *
 * Each call is later than the one before it by its TAI64N, as initiations of WireGuard are: what a relay or a hub
 * plays again is nothing.
 *
 * A longer body is read as far as it is known and an unknown type is nothing, so that later versions can
 * say more. An answer is never longer than its question: pings are padded to a pong at least.
 */

import { concatBytes, equalBytes, formatHex } from '../base/bytes.js'
import type { Endpoint } from '../net/endpoint.js'
import { ENDPOINT_BYTES, encodeEndpoint, tryDecodeEndpoint } from '../net/endpoint-bytes.js'
import { TIMESTAMP_BYTES } from '../wireguard/constants.js'
import type { ReceivedAgo } from './data-proof.js'
import { ENVELOPE_BYTES, MAGIC, TAG_END } from './disco-key.js'
import type { Mapping } from './nat.js'

const TRANSACTION_ID_BYTES = 12
const PING = 1
const PONG = 2
const CALL = 3
const SEQUENTIAL = 0x80
const LOST = 0x40
const TRIES_TCP = 0x20
const SEARCHES = 0x10
const RUN_AT: number = 1 + TRANSACTION_ID_BYTES + ENDPOINT_BYTES
export const RUN_BYTES = 4
const RECEIVED_AT: number = RUN_AT + RUN_BYTES
const PONG_BYTES: number = RECEIVED_AT + 4
const RECEIVED_NOTHING = 0xffff_ffff
const NO_KEYPAIR = 0xffff_fffe
/** Bound on what one call may make its receiver try. */
export const MAX_CANDIDATES = 32

/** In the order of their numbers on the wire. */
export const MAPPINGS: readonly [
  'unknown',
  'none',
  'endpointIndependent',
  'addressDependent',
  'addressAndPortDependent',
] = ['unknown', 'none', 'endpointIndependent', 'addressDependent', 'addressAndPortDependent']
const KINDS = ['local', 'reflexive', 'mapped', 'tcp'] as const

/** Own address, as a server saw it, asked of the router, or reached by TCP. */
export type CandidateKind = (typeof KINDS)[number]

export interface Candidate {
  readonly kind: CandidateKind
  readonly endpoint: Endpoint
}

export type DiscoMessage =
  /** `sizeBytes`: of the whole datagram; what got through tells the path's MTU. */
  | { readonly kind: 'ping'; readonly transactionId: Uint8Array; readonly sizeBytes: number }
  /** `run`: of the sender's program, 32 bits; another one than before says that it has been started anew. */
  | {
      readonly kind: 'pong'
      readonly transactionId: Uint8Array
      readonly observed: Endpoint
      readonly run: number
      /** When the sender got an authentic message of WireGuard's from the receiver last. */
      readonly received: ReceivedAgo
    }
  | {
      readonly kind: 'call'
      /** TAI64N, 12 bytes. */
      readonly timestamp: Uint8Array
      readonly mapping: Mapping
      /** Of external ports; both 0 if not known. Where they come in order: those just learnt, if any. */
      readonly ports: readonly [low: number, high: number]
      /** Ports come in order, so that the next one can be told. */
      readonly isSequential: boolean
      /** The sender had a direct path and has lost it. */
      readonly isLost: boolean
      /** The sender is about to connect over TCP to the candidates of that kind, and the receiver should too. */
      readonly triesTcp: boolean
      /** The sender begins a large search now, and the receiver should too: both have one at a time. */
      readonly isSearching: boolean
      /** At most MAX_CANDIDATES. */
      readonly candidates: readonly Candidate[]
    }

export function isDisco(bytes: Uint8Array): boolean {
  return bytes.length >= ENVELOPE_BYTES && equalBytes(bytes.subarray(0, MAGIC.length), MAGIC)
}

/** Key of the map from senders to pairs. `bytes`: isDisco. */
export function discoTagOf(bytes: Uint8Array): string {
  return formatHex(bytes.subarray(MAGIC.length, TAG_END))
}

// --- bodies ------------------------------------------------------------------------------------

/** What is sealed. */
export function encodeDisco(message: DiscoMessage): Uint8Array {
  switch (message.kind) {
    case 'ping': {
      const wanted = message.sizeBytes - ENVELOPE_BYTES
      const plain = new Uint8Array(Math.max(PONG_BYTES, wanted))
      plain[0] = PING
      plain.set(message.transactionId, 1)
      return plain
    }
    case 'pong': {
      const plain = new Uint8Array(PONG_BYTES)
      plain[0] = PONG
      plain.set(message.transactionId, 1)
      plain.set(encodeEndpoint(message.observed), 1 + TRANSACTION_ID_BYTES)
      viewOf(plain).setUint32(RUN_AT, message.run)
      viewOf(plain).setUint32(RECEIVED_AT, encodeReceived(message.received))
      return plain
    }
    case 'call': {
      const candidates = message.candidates.slice(0, MAX_CANDIDATES)
      const [low, high] = message.ports
      const mapping =
        MAPPINGS.indexOf(message.mapping) |
        (message.isSequential ? SEQUENTIAL : 0) |
        (message.isLost ? LOST : 0) |
        (message.triesTcp ? TRIES_TCP : 0) |
        (message.isSearching ? SEARCHES : 0)
      const ports = Uint8Array.of(low >> 8, low, high >> 8, high)
      const head = concatBytes(Uint8Array.of(CALL), message.timestamp, Uint8Array.of(mapping), ports)
      const entries = candidates.map(({ kind, endpoint }) =>
        concatBytes(Uint8Array.of(KINDS.indexOf(kind)), encodeEndpoint(endpoint)),
      )
      return concatBytes(head, Uint8Array.of(candidates.length), ...entries)
    }
  }
}

/** `sizeBytes`: of the datagram that it was in. Undefined if it is not understood. */
export function tryDecodeDisco(plain: Uint8Array, sizeBytes: number): DiscoMessage | undefined {
  const transactionId = plain.slice(1, 1 + TRANSACTION_ID_BYTES)
  switch (plain[0]) {
    case PING:
      // A shorter one would make the answer longer than the question.
      return plain.length < PONG_BYTES ? undefined : { kind: 'ping', transactionId, sizeBytes }
    case PONG: {
      if (plain.length < PONG_BYTES) return undefined
      const observed = tryDecodeEndpoint(plain, 1 + TRANSACTION_ID_BYTES)
      const run = viewOf(plain).getUint32(RUN_AT)
      const received = decodeReceived(viewOf(plain).getUint32(RECEIVED_AT))
      return observed && { kind: 'pong', transactionId, observed, run, received }
    }
    case CALL:
      return tryDecodeCall(plain)
    default:
      return undefined
  }
}

function encodeReceived(received: ReceivedAgo): number {
  if (received === 'nothing') return RECEIVED_NOTHING
  return received === 'noKeypair' ? NO_KEYPAIR : Math.min(Math.ceil(received), NO_KEYPAIR - 1)
}

function decodeReceived(ms: number): ReceivedAgo {
  if (ms === RECEIVED_NOTHING) return 'nothing'
  return ms === NO_KEYPAIR ? 'noKeypair' : ms
}

/** Candidates of an unknown kind, and those that are no endpoint, are left out. */
function tryDecodeCall(plain: Uint8Array): DiscoMessage | undefined {
  const mappingAt = 1 + TIMESTAMP_BYTES
  const headBytes = mappingAt + 6
  const entryBytes = 1 + ENDPOINT_BYTES
  const count = plain[headBytes - 1]
  if (count === undefined || count > MAX_CANDIDATES) return undefined
  if (plain.length < headBytes + count * entryBytes) return undefined
  const view = viewOf(plain)
  const candidates: Candidate[] = []
  for (let at = headBytes; at < headBytes + count * entryBytes; at += entryBytes) {
    const kind = KINDS[plain[at] as number]
    const endpoint = tryDecodeEndpoint(plain, at + 1)
    if (kind !== undefined && endpoint !== undefined) candidates.push({ kind, endpoint })
  }
  const first = plain[mappingAt] as number
  const mapping = MAPPINGS[first & ~(SEQUENTIAL | LOST | TRIES_TCP | SEARCHES)] ?? 'unknown'
  const isSequential = (first & SEQUENTIAL) !== 0
  const isLost = (first & LOST) !== 0
  const triesTcp = (first & TRIES_TCP) !== 0
  const isSearching = (first & SEARCHES) !== 0
  return {
    kind: 'call',
    timestamp: plain.slice(1, mappingAt),
    mapping,
    isSequential,
    isLost,
    triesTcp,
    isSearching,
    ports: [view.getUint16(mappingAt + 1), view.getUint16(mappingAt + 3)],
    candidates,
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}
