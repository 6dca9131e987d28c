/**
 * An outer port whose messages go to TypeScript instead of a socket: paths over relays and TCP. Both
 * ways it looks like a socket to the way in and the way out.
 */

import type { Endpoint } from '../../net/endpoint.js'
import { ipFromBytes } from '../../net/ip.js'
import type { SocketId } from '../../net/path.js'
import { MESSAGE_TRANSPORT } from '../../wireguard/constants.js'
import { readUint32Le } from '../../wireguard/messages.js'
import { FRAME_HEADROOM_BYTES } from '../contract.js'
import type { DatagramHeaders, OuterPort, Slab } from '../ports.js'
import type { EventQueue } from './event-queue.js'

const ADDRESS_BYTES = 16

export class FramePort implements OuterPort {
  readonly family = 6
  readonly port = 0
  onReadable: (() => void) | undefined
  readonly #id: SocketId
  readonly #events: EventQueue
  /** What deliver() was given and the way in has not taken yet. */
  #remote: Endpoint | undefined
  #waiting: Uint8Array[] = []

  constructor(id: SocketId, events: EventQueue) {
    this.#id = id
    this.#events = events
  }

  deliver(remote: Endpoint, bytes: Uint8Array, segmentBytes: number): void {
    this.#remote = remote
    const stepBytes = segmentBytes === 0 ? bytes.length : segmentBytes
    for (let at = 0; at < bytes.length; at += stepBytes) {
      this.#waiting.push(bytes.subarray(at, Math.min(bytes.length, at + stepBytes)))
    }
    while (this.#waiting.length > 0 && this.onReadable !== undefined) this.onReadable()
  }

  receiveBatch(slab: Slab, headers: DatagramHeaders): number {
    const remote = this.#remote
    if (remote === undefined) return 0
    const batch = this.#waiting.splice(0, slab.slots)
    for (const [i, message] of batch.entries()) {
      const length = Math.min(message.length, slab.stride - slab.headroom)
      slab.bytes.set(message.subarray(0, length), i * slab.stride + slab.headroom)
      slab.lengths[i] = length
      headers.remote.set(remote.address.bytes, i * ADDRESS_BYTES)
      headers.remotePort[i] = remote.port
      headers.remoteScope[i] = 0
      headers.local.fill(0, i * ADDRESS_BYTES, (i + 1) * ADDRESS_BYTES)
      headers.tos[i] = 0
    }
    return batch.length
  }

  sendBatch(slab: Slab, headers: DatagramHeaders, count: number): number {
    for (let i = 0; i < count; i++) {
      const start = i * slab.stride + slab.headroom
      const segmentBytes = slab.lengths[i] as number
      const frame = new Uint8Array(FRAME_HEADROOM_BYTES + segmentBytes)
      frame.set(slab.bytes.subarray(start, start + segmentBytes), FRAME_HEADROOM_BYTES)
      const address = ipFromBytes(headers.remote.slice(i * ADDRESS_BYTES, (i + 1) * ADDRESS_BYTES))
      const remote = { address, port: headers.remotePort[i] as number, scopeId: 0 }
      const isControl = readUint32Le(slab.bytes, start) !== MESSAGE_TRANSPORT
      this.#events.push({ kind: 'frames', port: this.#id, remote, frame, segmentBytes, isControl })
    }
    return count
  }

  setMark(): void {
    // There is no socket to mark.
  }

  close(): void {
    this.#waiting = []
  }
}
