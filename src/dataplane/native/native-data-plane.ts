/**
 * The data plane in native code, behind the contract: packets never come here, only the calls that go
 * down and the events that come up. Its readable twin is ../portable.
 *
 * INVARIANT: what native code is given was checked here, and keys are wiped once it has them.
 */

import { AppError, ERROR_CODES } from '../../base/errors.js'
import type { Endpoint } from '../../net/endpoint.js'
import { ipFromBytes } from '../../net/ip.js'
import type { Path, SocketId } from '../../net/path.js'
import {
  KEEPALIVE_TIMEOUT_MS,
  MAX_STAGED_PACKETS,
  REJECT_AFTER_MESSAGES,
  REJECT_AFTER_TIME_MS,
  REKEY_AFTER_MESSAGES,
  REKEY_AFTER_TIME_MS,
  REKEY_ON_RECEIVE_MS,
  REPLAY_WINDOW_COUNTERS,
} from '../../wireguard/constants.js'
import type { AllowedIpChange } from '../../wireguard/effects.js'
import type { KeypairMaterial } from '../../wireguard/keypair-material.js'
import {
  type DataPlane,
  type DataPlaneEvent,
  type DataPlaneListener,
  FRAME_HEADROOM_BYTES,
  type OuterSocketOptions,
} from '../contract.js'
import { DROP_REASONS } from '../drop-reasons.js'
import { PeerBlocks } from '../peer-block.js'
import type {
  NativePath,
  NativePlane,
  NativePlaneEvent,
  NativePlaneLayout,
  NativePlaneOptions,
} from './native-plane.js'

/** Where native planes come from, with failures told as this program tells them. */
export interface NativePlaneSource {
  readonly layout: NativePlaneLayout
  open(options: NativePlaneOptions, onReady: () => void): NativePlane
  openSocket(plane: NativePlane, options: OuterSocketOptions): { socket: SocketId; port: number }
  setMark(plane: NativePlane, mark: number): void
}

export interface NativeDataPlaneOptions extends Omit<NativePlaneOptions, 'blocks'> {
  readonly source: NativePlaneSource
  /** Number of peer slots. */
  readonly capacity: number
  readonly listener: DataPlaneListener
}

/** Version 1, bits 1, unused 2, slot 4 little-endian, address 16. */
const ALLOWED_IP_BYTES = 24
const NOBODY = 0xffff_ffff // AllowedIp::NOBODY in native/core/dataplane/data-plane.h

/** Throws PlatformError, and AppError if the addon was built from other sources. */
export function createNativeDataPlane(options: NativeDataPlaneOptions): DataPlane {
  requireLayout(options.source.layout)
  return new NativeDataPlane(options)
}

class NativeDataPlane implements DataPlane {
  readonly blocks: PeerBlocks
  readonly #capacity: number
  readonly #source: NativePlaneSource
  readonly #plane: NativePlane
  readonly #listener: DataPlaneListener
  #isStopped = false

  constructor(options: NativeDataPlaneOptions) {
    const { source, capacity, listener, mtu, ...rest } = options
    const buffer = new ArrayBuffer(PeerBlocks.bytesFor(capacity))
    this.blocks = new PeerBlocks(buffer)
    this.#capacity = capacity
    this.#source = source
    this.#listener = listener
    const native = { ...rest, mtu: checkedMtu(mtu), blocks: new Float64Array(buffer) }
    this.#plane = source.open(native, () => this.#handleReady())
  }

  describe(): string {
    const { aead, threads, offloads } = this.#plane.describe()
    const used = offloads.length === 0 ? 'no offloads' : offloads.join(' ')
    return `native, ${aead}, ${threads} thread${threads === 1 ? '' : 's'} each way, ${used}`
  }

  openSocket(options: OuterSocketOptions): { readonly socket: SocketId; readonly port: number } {
    return this.#source.openSocket(this.#plane, options)
  }

  openFramePort(): SocketId {
    return this.#plane.openFramePort()
  }

  deliver(port: SocketId, remote: Endpoint, bytes: Uint8Array, segmentBytes: number): void {
    this.#plane.deliver(port, remote.address.bytes, remote.port, bytes, segmentBytes)
  }

  closeSocket(socket: SocketId): void {
    this.#plane.closeSocket(socket)
  }

  setMark(mark: number): void {
    this.#source.setMark(this.#plane, mark)
  }

  setMtu(mtu: number): void {
    this.#plane.setMtu(checkedMtu(mtu))
  }

  addPeer(slot: number): void {
    if (!(slot >= 0 && slot < this.#capacity)) {
      throw new RangeError(`slot ${slot} is not below ${this.#capacity}`)
    }
    if (this.#plane.hasPeer(slot)) throw new RangeError(`slot ${slot} is taken`)
    this.#plane.addPeer(slot)
  }

  removePeer(slot: number): readonly number[] {
    return this.#plane.removePeer(this.#checked(slot))
  }

  changeAllowedIps(changes: readonly AllowedIpChange[]): void {
    const entries = new Uint8Array(ALLOWED_IP_BYTES * changes.length)
    const view = new DataView(entries.buffer)
    for (const [i, { prefix, slot }] of changes.entries()) {
      const at = ALLOWED_IP_BYTES * i
      entries[at] = prefix.address.family
      entries[at + 1] = prefix.bits
      view.setUint32(at + 4, slot ?? NOBODY, true)
      entries.set(prefix.address.bytes, at + 8)
    }
    this.#plane.changeAllowedIps(entries)
  }

  setPath(slot: number, path: Path | undefined): void {
    const native: [] | NativePath = path === undefined ? [] : nativePath(path)
    this.#plane.setPath(this.#checked(slot), ...native)
  }

  setRoaming(slot: number, isRoaming: boolean): void {
    this.#plane.setRoaming(this.#checked(slot), isRoaming)
  }

  installKeypair(slot: number, material: KeypairMaterial): readonly number[] {
    const { localIndex, remoteIndex, sendKey, receiveKey, isInitiator, createdAtMs } = material
    const { firstCounter = 0n } = material
    try {
      return this.#plane.installKeypair(
        this.#checked(slot),
        localIndex,
        remoteIndex,
        sendKey,
        receiveKey,
        isInitiator,
        createdAtMs,
        firstCounter,
      )
    } finally {
      sendKey.fill(0)
      receiveKey.fill(0)
    }
  }

  removeKeypairs(slot: number): readonly number[] {
    return this.#plane.removeKeypairs(this.#checked(slot))
  }

  sendKeepalive(slot: number): void {
    this.#plane.sendKeepalive(this.#checked(slot))
  }

  setKeepaliveInterval(slot: number, ms: number): void {
    this.#plane.setKeepaliveInterval(this.#checked(slot), ms)
  }

  dropStaged(slot: number): void {
    this.#plane.dropStaged(this.#checked(slot))
  }

  sendDatagram(path: Path, bytes: Uint8Array, tos: number, hops = 0): boolean {
    return this.#plane.sendDatagram(...nativePath(path), tos, bytes, hops)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#plane.stop()
  }

  #handleReady(): void {
    const events = this.#plane.takeEvents()
    if (events.length > 0) this.#listener(events.map(toEvent))
  }

  #checked(slot: number): number {
    if (this.#isStopped || this.#plane.hasPeer(slot)) return slot
    throw new RangeError(`no peer in slot ${slot}`)
  }
}

function nativePath(path: Path): NativePath {
  const { socket, remote, local } = path
  return [socket, remote.address.bytes, remote.port, remote.scopeId, local?.bytes]
}

function toEvent(event: NativePlaneEvent): DataPlaneEvent {
  switch (event.kind) {
    case 'datagram':
      return { kind: 'datagram', path: toPath(event), bytes: event.bytes }
    case 'sourceChanged':
      return { kind: 'sourceChanged', slot: event.slot, localIndex: event.localIndex, path: toPath(event) }
    case 'failed':
      return { kind: 'failed', syscall: event.syscall, errno: event.errno, socket: undefined }
    case 'frames': {
      const { socket, remote } = toPath(event)
      const { bytes, segmentBytes, isControl } = event
      return { kind: 'frames', port: socket, remote, frame: bytes, segmentBytes, isControl }
    }
    case 'handshakeNeeded':
      return { kind: 'handshakeNeeded', slot: event.slot }
    case 'keypairConfirmed':
      return event
  }
}

function toPath(event: Extract<NativePlaneEvent, { readonly remote: Uint8Array }>): Path {
  return {
    socket: event.socket,
    remote: { address: ipFromBytes(event.remote), port: event.port, scopeId: event.scope },
    local: event.local === undefined ? undefined : ipFromBytes(event.local),
  }
}

function checkedMtu(mtu: number): number {
  if (mtu < 1) throw new RangeError(`an MTU is above 0, not ${mtu}`)
  return mtu
}

/** Numbers and names that both sides know are owned here, and compared when a plane is opened. */
function requireLayout(layout: NativePlaneLayout): void {
  const expected: NativePlaneLayout = {
    blockFields: PeerBlocks.bytesFor(0) / Float64Array.BYTES_PER_ELEMENT,
    dropReasons: DROP_REASONS.join(' '),
    allowedIpBytes: ALLOWED_IP_BYTES,
    frameHeadroomBytes: FRAME_HEADROOM_BYTES,
    maxStagedPackets: MAX_STAGED_PACKETS,
    replayWindowCounters: REPLAY_WINDOW_COUNTERS,
    keepaliveTimeoutMs: KEEPALIVE_TIMEOUT_MS,
    rekeyAfterTimeMs: REKEY_AFTER_TIME_MS,
    rejectAfterTimeMs: REJECT_AFTER_TIME_MS,
    rekeyOnReceiveMs: REKEY_ON_RECEIVE_MS,
    rekeyAfterMessages: REKEY_AFTER_MESSAGES,
    rejectAfterMessages: REJECT_AFTER_MESSAGES,
  }
  for (const name of Object.keys(expected) as (keyof NativePlaneLayout)[]) {
    if (layout[name] === expected[name]) continue
    throw new AppError(ERROR_CODES.addon, `addon was built for another version: ${name} differs`, {
      hint: 'in the directory of overlay, type: node bin/setup.mjs addon',
    })
  }
}
