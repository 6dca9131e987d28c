/**
 * The way in, from the wire to the inner interface, in the order a datagram meets it:
 *
 *   outer port ─ batch ─► transport? ─► index ─► limits ─► open ─► replay ─► commit: counters, times,
 *                             │           │         │        │        │      path, next → current
 *                          datagram   unknown-  keypair-  authenti- replayed         │
 *                           event     Receiver  Expired   cationFailed           keepalive? ─► done
 *                                                                                    │
 *   inner port ◄─ one writeBatch ◄─ ECN ◄─ allowed IPs hold the source? ◄─ trim ◄─ header check
 *                                                    │                             │
 *                                            sourceNotAllowed              malformedPacket
 *
 * INVARIANT: before "commit" nothing has changed but one drop counter. A packet is opened where the
 * socket has put it; it is moved only to close the gap that one before it has left.
 */

import { ipLengthAt, ipVersionAt, propagateCongestion, sourceOffsetOf } from '../../net/packet.js'
import type { Path, SocketId } from '../../net/path.js'
import { KEEPALIVE_BYTES, MESSAGE_TRANSPORT, TRANSPORT_HEADER_BYTES } from '../../wireguard/constants.js'
import { isCounterRejected } from '../../wireguard/keypair.js'
import { readCounterHigh, readCounterLow, readReceiverIndex, readUint32Le } from '../../wireguard/messages.js'
import { DROP } from '../drop-reasons.js'
import type { DatagramHeaders, InnerPort, OuterPort } from '../ports.js'
import type { Outbound } from './outbound.js'
import { pathOfDatagram } from './packed-path.js'
import type { LiveKeypair, PeerState, PlaneState } from './plane-state.js'
import { BATCH_SLOTS, createDatagramHeaders, createSealingSlab, type SealingSlab } from './slabs.js'

const BATCHES_PER_TURN = 4
/** Of a flood of other datagrams, half a turn's worth is looked at; data behind it goes on. */
const MAX_CONTROL_DATAGRAMS_PER_TURN = 128

export class Inbound {
  readonly #plane: PlaneState
  readonly #inner: InnerPort
  readonly #outbound: Outbound
  readonly #slab: SealingSlab = createSealingSlab()
  readonly #headers: DatagramHeaders = createDatagramHeaders(BATCH_SLOTS)
  /** Peer slot of each packet to write. */
  readonly #receivers: Uint32Array = new Uint32Array(BATCH_SLOTS)
  #toWrite = 0
  #controlThisTurn = 0

  constructor(plane: PlaneState, inner: InnerPort, outbound: Outbound) {
    this.#plane = plane
    this.#inner = inner
    this.#outbound = outbound
  }

  handleReadable(socket: SocketId, port: OuterPort): void {
    this.#controlThisTurn = 0
    for (let turns = 0; turns < BATCHES_PER_TURN; turns++) {
      const count = port.receiveBatch(this.#slab.datagrams, this.#headers)
      if (count === 0) break
      this.#plane.clock.refresh()
      for (let i = 0; i < count; i++) this.#handleDatagram(socket, port.family, i)
      this.#writeBatch()
      if (count < BATCH_SLOTS) break
    }
    this.#plane.events.deliver()
  }

  #handleDatagram(socket: SocketId, family: 4 | 6, i: number): void {
    const { blocks } = this.#plane
    const { bytes, stride, lengths } = this.#slab.datagrams
    const start = i * stride
    const length = lengths[i] as number
    if (length < 4 || readUint32Le(bytes, start) !== MESSAGE_TRANSPORT) {
      this.#handleControl(socket, family, i)
      return
    }
    if (length < KEEPALIVE_BYTES) {
      blocks.countDrop(blocks.deviceSlot, DROP.malformedDatagram)
      return
    }
    const live = this.#plane.findKeypair(readReceiverIndex(bytes, start))
    if (live === undefined) {
      blocks.countDrop(blocks.deviceSlot, DROP.unknownReceiver)
      return
    }
    const refusal = this.#openMessage(live, i)
    if (refusal !== undefined) {
      blocks.countDrop(live.peer.slot, refusal)
      return
    }
    this.#commit(live, length)
    if (live.peer.isRoaming && live.peer.path.learnFrom(socket, family, this.#headers, i)) {
      this.#raiseSource(live, pathOfDatagram(socket, family, this.#headers, i))
    }
    if (live.keypair === live.peer.rotation.next) this.#confirm(live)
    if (live.peer.rotation.current?.isRenewalDueOnReceive(this.#plane.clock.batchMs) === true) {
      this.#plane.raiseHandshake(live.peer)
    }
    if (length > KEEPALIVE_BYTES) this.#handlePacket(live.peer, i, length - KEEPALIVE_BYTES)
  }

  /** Opens in place. Gives why not, or undefined if the message is authentic and new. */
  #openMessage({ keypair }: LiveKeypair, i: number): number | undefined {
    const { bytes, stride, lengths } = this.#slab.datagrams
    const start = i * stride
    const high = readCounterHigh(bytes, start)
    const low = readCounterLow(bytes, start)
    if (keypair.isExpired(this.#plane.clock.batchMs) || isCounterRejected(high, low))
      return DROP.keypairExpired
    const sealedLength = (lengths[i] as number) - TRANSPORT_HEADER_BYTES
    if (!keypair.receiver.openInPlace(bytes, start + TRANSPORT_HEADER_BYTES, sealedLength, high, low)) {
      return DROP.authenticationFailed
    }
    return keypair.replayWindow.accept(high, low) ? undefined : DROP.replayed
  }

  #commit({ peer }: LiveKeypair, length: number): void {
    const { blocks, clock } = this.#plane
    const nowMs = clock.next()
    blocks.add(peer.slot, 'rxBytes', length)
    blocks.add(peer.slot, 'rxMessages', 1)
    blocks.set(peer.slot, 'lastReceiveMs', nowMs)
    if (length === KEEPALIVE_BYTES) return
    blocks.set(peer.slot, 'lastDataReceiveMs', nowMs)
    if (blocks.get(peer.slot, 'firstUnansweredReceiveMs') <= blocks.get(peer.slot, 'lastSendMs')) {
      blocks.set(peer.slot, 'firstUnansweredReceiveMs', nowMs)
    }
  }

  /** `length`: of the opened packet with its padding, above 0. */
  #handlePacket(peer: PeerState, i: number, length: number): void {
    const { blocks } = this.#plane
    const { bytes, stride, headroom, lengths } = this.#slab.packets
    const offset = i * stride + headroom
    const version = ipVersionAt(bytes, offset, length)
    const packetLength = version === 0 ? 0 : ipLengthAt(bytes, offset, length, version)
    if (version === 0 || packetLength === 0) {
      blocks.countDrop(peer.slot, DROP.malformedPacket)
      return
    }
    if (this.#plane.routeTo(bytes, offset + sourceOffsetOf(version), version) !== peer) {
      blocks.countDrop(peer.slot, DROP.sourceNotAllowed)
      return
    }
    propagateCongestion(bytes, offset, version, this.#headers.tos[i] as number)
    const target = this.#toWrite * stride + headroom
    if (target !== offset) bytes.copyWithin(target, offset, offset + packetLength)
    lengths[this.#toWrite] = packetLength
    this.#receivers[this.#toWrite] = peer.slot
    this.#toWrite += 1
  }

  #writeBatch(): void {
    if (this.#toWrite === 0) return
    const written = this.#inner.writeBatch(this.#slab.packets, this.#toWrite)
    for (let i = written; i < this.#toWrite; i++) {
      this.#plane.blocks.countDrop(this.#receivers[i] as number, DROP.innerWriteFailed)
    }
    this.#toWrite = 0
  }

  // --- rare ------------------------------------------------------------------------------------

  #handleControl(socket: SocketId, family: 4 | 6, i: number): void {
    const { blocks, events } = this.#plane
    this.#controlThisTurn += 1
    if (this.#controlThisTurn > MAX_CONTROL_DATAGRAMS_PER_TURN) {
      blocks.countDrop(blocks.deviceSlot, DROP.controlOverflow)
      return
    }
    const { bytes, stride, lengths } = this.#slab.datagrams
    const path = pathOfDatagram(socket, family, this.#headers, i)
    events.push({
      kind: 'datagram',
      path,
      bytes: bytes.slice(i * stride, i * stride + (lengths[i] as number)),
    })
  }

  #raiseSource({ peer, keypair }: LiveKeypair, path: Path): void {
    const { localIndex } = keypair
    this.#plane.events.push({ kind: 'sourceChanged', slot: peer.slot, localIndex, path })
  }

  /** The initiator has used the keypair we keep as next: it is current now, and what waits can go. */
  #confirm({ peer, keypair }: LiveKeypair): void {
    const { events } = this.#plane
    const removed = this.#plane.forgetKeypairs(peer.rotation.confirmNext())
    peer.isHandshakeRaised = false
    events.push({ kind: 'keypairConfirmed', slot: peer.slot, localIndex: keypair.localIndex, removed })
    this.#outbound.sendStaged(peer)
  }
}
