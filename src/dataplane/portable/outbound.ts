/**
 * The way out, from the inner interface to the wire, in the order a packet meets it:
 *
 *   inner port ─ batch ─► header check ─► allowed IPs ─► ours? ─► path? ─► usable keypair? ─► pad, seal
 *                              │              │             │        │             │              │
 *                       malformedPacket   noAllowedIp  routingLoop noPath   staged (copy) and     ▼
 *                                                                          handshakeNeeded   OutgoingBatch
 *                                                                                               │
 *   outer port ◄──────────────────── one sendBatch per socket ◄─────────────────────────────────┘
 *
 * A packet is sealed where the inner port has put it; it is moved only to close the gap that a dropped
 * one before it has left. A turn ends after a few batches: the port says again that it is readable.
 */

import { destinationOffsetOf, ecnAt, ipLengthAt, ipVersionAt } from '../../net/packet.js'
import { PADDING_BYTES, TAG_BYTES, TRANSPORT_HEADER_BYTES } from '../../wireguard/constants.js'
import type { Keypair } from '../../wireguard/keypair.js'
import { writeTransportHeader } from '../../wireguard/messages.js'
import { DROP } from '../drop-reasons.js'
import type { InnerPort } from '../ports.js'
import { OutgoingBatch } from './outgoing-batch.js'
import type { PeerState, PlaneState } from './plane-state.js'

const BATCHES_PER_TURN = 4

export class Outbound {
  readonly #plane: PlaneState
  readonly #inner: InnerPort
  readonly #batch: OutgoingBatch

  constructor(plane: PlaneState, inner: InnerPort) {
    this.#plane = plane
    this.#inner = inner
    this.#batch = new OutgoingBatch(plane)
  }

  handleReadable(): void {
    const { packets } = this.#batch
    for (let turns = 0; turns < BATCHES_PER_TURN; turns++) {
      const count = this.#inner.readBatch(packets)
      if (count === 0) break
      this.#plane.clock.refresh()
      for (let i = 0; i < count; i++) this.#handlePacket(i)
      this.#batch.flush()
      if (count < packets.slots) break
    }
    this.#plane.events.deliver()
  }

  #handlePacket(i: number): void {
    const { blocks } = this.#plane
    const { bytes, stride, headroom, lengths } = this.#batch.packets
    const offset = i * stride + headroom
    const version = ipVersionAt(bytes, offset, lengths[i] as number)
    const length = version === 0 ? 0 : ipLengthAt(bytes, offset, lengths[i] as number, version)
    if (version === 0 || length === 0) {
      blocks.countDrop(blocks.deviceSlot, DROP.malformedPacket)
      return
    }
    const peer = this.#plane.routeTo(bytes, offset + destinationOffsetOf(version), version)
    if (peer === undefined) {
      blocks.countDrop(blocks.deviceSlot, DROP.noAllowedIp)
      return
    }
    if (this.#plane.ownDatagrams.holds(bytes, offset, length, version)) {
      blocks.countDrop(peer.slot, DROP.routingLoop)
      return
    }
    if (!peer.path.isSet) {
      blocks.countDrop(peer.slot, DROP.noPath)
      return
    }
    const keypair = peer.rotation.current
    if (keypair === undefined || !keypair.canSend(this.#plane.clock.batchMs)) {
      this.#plane.stage(peer, bytes.slice(offset, offset + length))
      return
    }
    const target = this.#batch.count * stride + headroom
    if (target !== offset) bytes.copyWithin(target, offset, offset + length)
    this.#seal(peer, keypair, length, ecnAt(bytes, target, version))
  }

  /** Seals `length` bytes in the batch's next slot. `tos`: the inner ECN bits; DSCP stays zero. */
  #seal(peer: PeerState, keypair: Keypair, length: number, tos: number): void {
    const { bytes, stride, headroom } = this.#batch.packets
    const offset = this.#batch.count * stride + headroom
    const padded = length + paddingOf(length, this.#plane.mtu)
    const { sendHigh, sendLow } = keypair
    bytes.fill(0, offset + length, offset + padded)
    keypair.sender.sealInPlace(bytes, offset, padded, sendHigh, sendLow)
    writeTransportHeader(bytes, offset - TRANSPORT_HEADER_BYTES, keypair.remoteIndex, sendHigh, sendLow)
    keypair.advanceCounter()
    this.#batch.add(peer, TRANSPORT_HEADER_BYTES + padded + TAG_BYTES, tos, length > 0)
    this.#plane.blocks.set(peer.slot, 'sendCounter', keypair.sendHigh * 2 ** 32 + keypair.sendLow)
    if (keypair.isRenewalDueOnSend(this.#plane.clock.batchMs)) this.#plane.raiseHandshake(peer)
  }

  /** Sends what is staged, or an empty message. The caller has refreshed the clock. */
  sendKeepalive(peer: PeerState): void {
    const { blocks, clock } = this.#plane
    const keypair = peer.rotation.current
    if (peer.staged.length > 0) {
      this.sendStaged(peer)
    } else if (!peer.path.isSet) {
      blocks.countDrop(peer.slot, DROP.noPath)
    } else if (keypair?.canSend(clock.batchMs) === true) {
      this.#seal(peer, keypair, 0, 0)
      this.#batch.flush()
    } else {
      this.#plane.stage(peer, new Uint8Array(0))
    }
  }

  /** Sends what waits for a keypair, if there is one now. The caller has refreshed the clock. */
  sendStaged(peer: PeerState): void {
    const { batchMs } = this.#plane.clock
    if (peer.staged.length === 0) return
    if (!peer.path.isSet) {
      this.#plane.dropStaged(peer, DROP.noPath)
      return
    }
    const keypair = peer.rotation.current
    while (keypair?.canSend(batchMs) === true) {
      const packet = peer.staged.shift()
      if (packet === undefined) break
      this.#sealStaged(peer, keypair, packet)
    }
    this.#batch.flush()
    if (peer.staged.length > 0) this.#plane.raiseHandshake(peer)
  }

  #sealStaged(peer: PeerState, keypair: Keypair, packet: Uint8Array): void {
    if (this.#batch.isFull) this.#batch.flush()
    const { bytes, stride, headroom } = this.#batch.packets
    bytes.set(packet, this.#batch.count * stride + headroom)
    const version = ipVersionAt(packet, 0, packet.length)
    this.#seal(peer, keypair, packet.length, version === 0 ? 0 : ecnAt(packet, 0, version))
  }
}

/**
 * Zeros behind a packet: up to a multiple of 16, but not above the MTU. A packet that is longer than
 * the MTU is padded like what it has over whole MTUs.
 */
function paddingOf(length: number, mtu: number): number {
  const last = length > mtu ? length % mtu : length
  const rounded = Math.ceil(last / PADDING_BYTES) * PADDING_BYTES
  return Math.min(mtu, rounded) - last
}
