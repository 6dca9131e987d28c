/**
 * The data plane in TypeScript: the readable twin of the native one, and the fallback without it.
 *
 * Here are the calls that come down; packets pass through outbound.ts and inbound.ts. All of it runs
 * on the caller's thread, inside the ports' readiness callbacks and the calls themselves, and keeps no
 * timers. Events are delivered before such a callback or call returns, but never while the listener
 * runs: see event-queue.ts.
 */

import type { Endpoint } from '../../net/endpoint.js'
import type { Path, SocketId } from '../../net/path.js'
import type { Crypto } from '../../wireguard/crypto.js'
import type { AllowedIpChange } from '../../wireguard/effects.js'
import { Keypair } from '../../wireguard/keypair.js'
import type { KeypairMaterial } from '../../wireguard/keypair-material.js'
import type { DataPlane, DataPlaneListener, OuterSocketOptions } from '../contract.js'
import { DROP } from '../drop-reasons.js'
import type { PeerBlocks } from '../peer-block.js'
import type { InnerPort, OpenOuterPort } from '../ports.js'
import { EventQueue } from './event-queue.js'
import { FramePort } from './frame-port.js'
import { Inbound } from './inbound.js'
import { OrderedClock } from './ordered-clock.js'
import { Outbound } from './outbound.js'
import { PackedPath } from './packed-path.js'
import { PeerState, PlaneState } from './plane-state.js'
import { createDatagramHeaders, slabOfOne } from './slabs.js'

export interface PortableDataPlaneOptions {
  readonly inner: InnerPort
  readonly openOuterPort: OpenOuterPort
  readonly crypto: Crypto
  /** Number of peer slots. */
  readonly capacity: number
  /** Boot clock. */
  readonly nowMs: () => number
  /** Of the inner interface. */
  readonly mtu: number
  readonly listener: DataPlaneListener
}

export function createPortableDataPlane(options: PortableDataPlaneOptions): DataPlane {
  return new PortableDataPlane(options)
}

class PortableDataPlane implements DataPlane {
  readonly #plane: PlaneState
  readonly #inner: InnerPort
  readonly #openOuterPort: OpenOuterPort
  readonly #outbound: Outbound
  readonly #inbound: Inbound
  readonly #controlHeaders = createDatagramHeaders(1)
  readonly #controlPath = new PackedPath()
  readonly #framePorts = new Map<SocketId, FramePort>()
  #lastSocket: SocketId = 0
  /** For sockets that are opened without one. */
  #mark = 0

  constructor(options: PortableDataPlaneOptions) {
    const { capacity, crypto, inner } = options
    const mtu = checkedMtu(options.mtu)
    const events = new EventQueue(options.listener)
    this.#plane = new PlaneState({ capacity, mtu, crypto, events, clock: new OrderedClock(options.nowMs) })
    this.#inner = inner
    this.#openOuterPort = options.openOuterPort
    this.#outbound = new Outbound(this.#plane, inner)
    this.#inbound = new Inbound(this.#plane, inner, this.#outbound)
    inner.onReadable = () => this.#outbound.handleReadable()
    inner.onGone = (errno) => {
      events.push({ kind: 'failed', syscall: 'read', errno, socket: undefined })
      events.deliver()
    }
  }

  get blocks(): PeerBlocks {
    return this.#plane.blocks
  }

  describe(): string {
    return `portable, ${this.#plane.crypto.name}`
  }

  openSocket(options: OuterSocketOptions): { readonly socket: SocketId; readonly port: number } {
    const port = this.#openOuterPort({ ...options, mark: options.mark === 0 ? this.#mark : options.mark })
    this.#lastSocket += 1
    const socket = this.#lastSocket
    this.#plane.sockets.set(socket, port)
    port.onReadable = () => this.#inbound.handleReadable(socket, port)
    return { socket, port: port.port }
  }

  openFramePort(): SocketId {
    this.#lastSocket += 1
    const socket = this.#lastSocket
    const port = new FramePort(socket, this.#plane.events)
    this.#plane.sockets.set(socket, port)
    this.#framePorts.set(socket, port)
    port.onReadable = () => this.#inbound.handleReadable(socket, port)
    return socket
  }

  deliver(port: SocketId, remote: Endpoint, bytes: Uint8Array, segmentBytes: number): void {
    this.#framePorts.get(port)?.deliver(remote, bytes, segmentBytes)
  }

  closeSocket(socket: SocketId): void {
    const port = this.#plane.sockets.get(socket)
    if (port === undefined) return
    this.#plane.sockets.delete(socket)
    this.#framePorts.delete(socket)
    port.onReadable = undefined
    port.close()
    for (const peer of this.#plane.peers) if (peer?.path.socket === socket) peer.path.set(undefined)
  }

  setMark(mark: number): void {
    for (const port of this.#plane.sockets.values()) port.setMark(mark)
    this.#mark = mark
  }

  setMtu(mtu: number): void {
    this.#plane.mtu = checkedMtu(mtu)
  }

  addPeer(slot: number): void {
    const { peers } = this.#plane
    if (slot < 0 || slot >= peers.length) throw new RangeError(`slot ${slot} is not below ${peers.length}`)
    if (peers[slot] !== undefined) throw new RangeError(`slot ${slot} is taken`)
    this.#plane.blocks.clear(slot)
    peers[slot] = new PeerState(slot)
  }

  removePeer(slot: number): readonly number[] {
    const removed = this.removeKeypairs(slot)
    this.#plane.peers[slot] = undefined
    return removed
  }

  changeAllowedIps(changes: readonly AllowedIpChange[]): void {
    this.#plane.changeAllowedIps(changes)
  }

  setPath(slot: number, path: Path | undefined): void {
    this.#peer(slot).path.set(path)
  }

  setRoaming(slot: number, isRoaming: boolean): void {
    this.#peer(slot).isRoaming = isRoaming
  }

  installKeypair(slot: number, material: KeypairMaterial): readonly number[] {
    const peer = this.#peer(slot)
    const keypair = new Keypair(this.#plane.crypto, material)
    const removed = this.#plane.forgetKeypairs(peer.rotation.install(keypair))
    this.#plane.addKeypair(peer, keypair)
    peer.isHandshakeRaised = false
    return removed
  }

  removeKeypairs(slot: number): readonly number[] {
    const peer = this.#peer(slot)
    peer.isHandshakeRaised = false
    return this.#plane.forgetKeypairs(peer.rotation.clear())
  }

  sendKeepalive(slot: number): void {
    this.#plane.clock.refresh()
    this.#outbound.sendKeepalive(this.#peer(slot))
    this.#plane.events.deliver()
  }

  /** On the event loop nothing can be sent while that is stalled. */
  setKeepaliveInterval(slot: number): void {
    this.#peer(slot)
  }

  dropStaged(slot: number): void {
    this.#plane.dropStaged(this.#peer(slot), DROP.handshakeFailed)
  }

  sendDatagram(path: Path, bytes: Uint8Array, tos: number, hops?: number): boolean {
    const port = this.#plane.sockets.get(path.socket)
    if (port === undefined || bytes.length === 0) return false
    this.#controlPath.set(path)
    this.#controlPath.writeTo(this.#controlHeaders, 0)
    this.#controlHeaders.tos[0] = tos
    this.#plane.ownDatagrams.note(bytes)
    const isTaken = port.sendBatch(slabOfOne(bytes), this.#controlHeaders, 1, hops) === 1
    this.#plane.events.deliver()
    return isTaken
  }

  async stop(): Promise<void> {
    this.#plane.events.stop()
    this.#inner.onReadable = undefined
    this.#inner.onGone = undefined
    for (const socket of [...this.#plane.sockets.keys()]) this.closeSocket(socket)
    for (const peer of this.#plane.peers) {
      if (peer === undefined) continue
      this.removeKeypairs(peer.slot)
      peer.staged.length = 0
    }
  }

  #peer(slot: number): PeerState {
    const peer = this.#plane.peers[slot]
    if (peer === undefined) throw new RangeError(`no peer in slot ${slot}`)
    return peer
  }
}

function checkedMtu(mtu: number): number {
  if (mtu < 1) throw new RangeError(`an MTU is above 0, not ${mtu}`)
  return mtu
}
