/**
 * Sealed messages waiting for the end of their batch: grouped by socket, sent with one call per
 * socket, and only then counted, because only then it is known what the socket took.
 */

import type { SocketId } from '../../net/path.js'
import { DROP } from '../drop-reasons.js'
import type { DatagramHeaders, Slab } from '../ports.js'
import type { PeerState, PlaneState } from './plane-state.js'
import { BATCH_SLOTS, createDatagramHeaders, createSealingSlab, type SealingSlab } from './slabs.js'

const SENT: SocketId = -1

export class OutgoingBatch {
  readonly packets: Slab
  readonly datagrams: Slab
  readonly headers: DatagramHeaders = createDatagramHeaders(BATCH_SLOTS)
  readonly #plane: PlaneState
  readonly #senders: (PeerState | undefined)[] = new Array(BATCH_SLOTS).fill(undefined)
  readonly #sockets: Int32Array = new Int32Array(BATCH_SLOTS)
  readonly #isData: Uint8Array = new Uint8Array(BATCH_SLOTS)
  #count = 0
  /** Where the messages of one socket are gathered if a batch goes through several. */
  #gathered: OutgoingBatch | undefined

  constructor(plane: PlaneState, slab: SealingSlab = createSealingSlab()) {
    this.#plane = plane
    this.packets = slab.packets
    this.datagrams = slab.datagrams
  }

  /** Slot of the next message. */
  get count(): number {
    return this.#count
  }

  get isFull(): boolean {
    return this.#count === BATCH_SLOTS
  }

  /** After the message was sealed in slot `count`. */
  add(peer: PeerState, length: number, tos: number, isData: boolean): void {
    const i = this.#count++
    this.datagrams.lengths[i] = length
    peer.path.writeTo(this.headers, i)
    this.headers.tos[i] = tos
    this.#senders[i] = peer
    this.#sockets[i] = peer.path.socket
    this.#isData[i] = isData ? 1 : 0
  }

  flush(): void {
    for (let i = 0; i < this.#count; i++) {
      const socket = this.#sockets[i] as SocketId
      if (socket === SENT) continue
      if (i === 0 && this.#isAllThrough(socket)) {
        this.#sendThrough(socket)
        break
      }
      this.#gathered ??= new OutgoingBatch(this.#plane)
      for (let k = i; k < this.#count; k++) if (this.#sockets[k] === socket) this.#move(k, this.#gathered)
      this.#gathered.#sendThrough(socket)
      this.#gathered.#count = 0
    }
    this.#count = 0
  }

  #isAllThrough(socket: SocketId): boolean {
    for (let i = 1; i < this.#count; i++) if (this.#sockets[i] !== socket) return false
    return true
  }

  #move(i: number, to: OutgoingBatch): void {
    const { bytes, stride, lengths } = this.datagrams
    const length = lengths[i] as number
    to.datagrams.bytes.set(bytes.subarray(i * stride, i * stride + length), to.#count * stride)
    to.add(this.#senders[i] as PeerState, length, this.headers.tos[i] as number, this.#isData[i] === 1)
    this.#sockets[i] = SENT
  }

  #sendThrough(socket: SocketId): void {
    const port = this.#plane.sockets.get(socket)
    const taken = port === undefined ? 0 : port.sendBatch(this.datagrams, this.headers, this.#count)
    for (let i = 0; i < this.#count; i++) this.#account(i, i < taken)
  }

  /** A refused message counts as an attempt to the timers, so that nobody tries again at once. */
  #account(i: number, wasTaken: boolean): void {
    const { blocks, clock } = this.#plane
    const { slot } = this.#senders[i] as PeerState
    const nowMs = clock.next()
    blocks.set(slot, 'lastSendMs', nowMs)
    if (!wasTaken) {
      blocks.countDrop(slot, DROP.outerSendFailed)
      return
    }
    blocks.add(slot, 'txBytes', this.datagrams.lengths[i] as number)
    blocks.add(slot, 'txMessages', 1)
    if (this.#isData[i] === 0) return
    blocks.set(slot, 'lastDataSendMs', nowMs)
    if (blocks.get(slot, 'firstUnansweredSendMs') <= blocks.get(slot, 'lastReceiveMs')) {
      blocks.set(slot, 'firstUnansweredSendMs', nowMs)
    }
  }
}
