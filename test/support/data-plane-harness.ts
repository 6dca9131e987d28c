/**
 * What the compliance suite needs of a data plane under test: the plane itself, and hands on both its
 * ends. Small enough for a plane over real interfaces and sockets: every action ends when the plane
 * has dealt with it, remote endpoints are given, and time only has to pass, not to jump.
 *
 * `FarEnd` is the other side of one keypair, sealing and opening by the paper alone.
 */

import { concatBytes } from '../../src/base/bytes.js'
import type { DataPlane, DataPlaneEvent } from '../../src/dataplane/contract.js'
import type { Endpoint } from '../../src/net/endpoint.js'
import type { IpAddress } from '../../src/net/ip.js'
import type { Path, SocketId } from '../../src/net/path.js'
import { type Prefix, tryParsePrefix } from '../../src/net/prefix.js'
import { nobleCrypto } from '../../src/wireguard/crypto-noble.js'
import type { KeypairMaterial } from '../../src/wireguard/keypair-material.js'

interface SentDatagram {
  readonly from: Endpoint
  readonly to: Endpoint
  readonly tos: number
  readonly bytes: Uint8Array
}

/** One open socket of the plane, and who can be reached over it. */
export interface HarnessSocket {
  readonly socket: SocketId
  readonly port: number
  /** Two addresses of the plane's machine. */
  readonly locals: readonly [IpAddress, IpAddress]
  /**
   * Endpoints whose datagrams the harness sees, and from which it can send. The third has the address
   * of the first and another port.
   */
  readonly remotes: readonly [Endpoint, Endpoint, Endpoint]
}

export interface DataPlaneHarness {
  readonly plane: DataPlane
  readonly v4: HarnessSocket
  readonly v6: HarnessSocket
  /** The clock of the plane. */
  nowMs(): number
  /** Lets a few milliseconds pass. */
  pass(ms: number): Promise<void>
  injectPackets(...packets: readonly Uint8Array[]): Promise<void>
  takePackets(): Promise<readonly Uint8Array[]>
  /** `to`: an address of the plane's machine; the first of the socket if absent. */
  injectDatagrams(datagrams: readonly InjectedDatagram[]): Promise<void>
  takeDatagrams(): Promise<readonly SentDatagram[]>
  takeEvents(): Promise<readonly DataPlaneEvent[]>
  stop(): Promise<void>
}

export interface InjectedDatagram {
  readonly from: Endpoint
  readonly bytes: Uint8Array
  readonly to?: IpAddress
  readonly tos?: number
}

/** With an MTU of 1420 and 4 slots, both sockets open, no peers. */
export type DataPlaneFactory = () => Promise<DataPlaneHarness>

export interface FarEndOptions {
  readonly localIndex: number
  /** Whether the plane's side sent the initiation. */
  readonly isInitiator?: boolean
  readonly ageMs?: number
  readonly firstCounter?: bigint
}

export class FarEnd {
  readonly #harness: DataPlaneHarness
  readonly #options: FarEndOptions
  /** Counter of the next message from here. */
  counter = 0n

  constructor(harness: DataPlaneHarness, options: FarEndOptions) {
    this.#harness = harness
    this.#options = options
  }

  get localIndex(): number {
    return this.#options.localIndex
  }

  get remoteIndex(): number {
    return (this.#options.localIndex ^ 0xa0b0c0d0) >>> 0
  }

  /** Fresh arrays: the plane wipes what it is given. */
  material(): KeypairMaterial {
    const { localIndex, isInitiator = true, ageMs = 0, firstCounter } = this.#options
    return {
      localIndex,
      remoteIndex: this.remoteIndex,
      sendKey: keyOf(localIndex, 1),
      receiveKey: keyOf(localIndex, 2),
      isInitiator,
      createdAtMs: this.#harness.nowMs() - ageMs,
      ...(firstCounter === undefined ? {} : { firstCounter }),
    }
  }

  install(slot: number): readonly number[] {
    return this.#harness.plane.installKeypair(slot, this.material())
  }

  /** As an initiator does it: what is staged, or an empty message, proves the keys. */
  installAndProve(slot: number): void {
    this.install(slot)
    this.#harness.plane.sendKeepalive(slot)
  }

  /** A transport message to the plane, by default under the next counter. */
  seal(packet: Uint8Array, counter: bigint = this.counter): Uint8Array {
    this.counter = counter + 1n
    return sealTransport(keyOf(this.localIndex, 2), this.localIndex, counter, packet)
  }

  /** The same as a datagram, ready to be injected. */
  datagram(from: Endpoint, packet: Uint8Array, counter?: bigint): InjectedDatagram {
    return { from, bytes: this.seal(packet, counter) }
  }

  /** What the plane has to put on the wire for a packet that was padded already. */
  expected(padded: Uint8Array, counter: bigint): Uint8Array {
    return sealTransport(keyOf(this.localIndex, 1), this.remoteIndex, counter, padded)
  }

  /** The padded packet in a message of the plane; throws if it is not authentic. */
  open(bytes: Uint8Array): { readonly counter: bigint; readonly padded: Uint8Array } {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const counter = view.getBigUint64(8, true)
    const opened = bytes.slice(16)
    const [high, low] = halvesOf(counter)
    const isAuthentic = nobleCrypto
      .aead(keyOf(this.localIndex, 1))
      .openInPlace(opened, 0, opened.length, high, low)
    if (!isAuthentic || view.getUint32(4, true) !== this.remoteIndex) throw new Error('not authentic')
    return { counter, padded: opened.subarray(0, opened.length - 16) }
  }
}

function keyOf(localIndex: number, direction: number): Uint8Array {
  return new Uint8Array(32).fill((localIndex * 2 + direction) & 0xff)
}

function halvesOf(counter: bigint): readonly [number, number] {
  return [Number(counter >> 32n), Number(counter & 0xffff_ffffn)]
}

function sealTransport(key: Uint8Array, index: number, counter: bigint, packet: Uint8Array): Uint8Array {
  const message = concatBytes(new Uint8Array(16), packet, new Uint8Array(16))
  const view = new DataView(message.buffer)
  view.setUint32(0, 4, true)
  view.setUint32(4, index, true)
  view.setBigUint64(8, counter, true)
  const [high, low] = halvesOf(counter)
  nobleCrypto.aead(key).sealInPlace(message, 16, packet.length, high, low)
  return message
}

export function prefix(text: string): Prefix {
  const parsed = tryParsePrefix(text)
  if (parsed === undefined) throw new Error(`no prefix: ${text}`)
  return parsed
}

/** The path to the first or second remote of a socket, the local address left to the kernel. */
export function pathTo(socket: HarnessSocket, which: 0 | 1 = 0): Path {
  return { socket: socket.socket, remote: socket.remotes[which], local: undefined }
}

/** Peer `slot` on the v4 socket with 10.0.<slot>.0/24 and fd00:<slot>::/64; table of all such peers. */
export function addPeers(harness: DataPlaneHarness, ...slots: readonly number[]): void {
  for (const slot of slots) {
    harness.plane.addPeer(slot)
    harness.plane.setPath(slot, pathTo(harness.v4))
  }
  harness.plane.changeAllowedIps(
    slots.flatMap((slot) => [
      { prefix: prefix(`10.0.${slot}.0/24`), slot },
      { prefix: prefix(`fd00:${slot}::/64`), slot },
    ]),
  )
}

/** Events of one kind. */
export function eventsOf<K extends DataPlaneEvent['kind']>(
  events: readonly DataPlaneEvent[],
  kind: K,
): readonly Extract<DataPlaneEvent, { kind: K }>[] {
  return events.filter((event): event is Extract<DataPlaneEvent, { kind: K }> => event.kind === kind)
}
