/**
 * What both directions of the portable data plane share: peers, live keypairs, sockets, the allowed
 * IPs, and the events and counters they leave behind.
 */

import { AllowedIps } from '../../net/allowed-ips.js'
import type { SocketId } from '../../net/path.js'
import { MAX_STAGED_PACKETS } from '../../wireguard/constants.js'
import type { Crypto } from '../../wireguard/crypto.js'
import type { AllowedIpChange } from '../../wireguard/effects.js'
import { type Keypair, KeypairRotation } from '../../wireguard/keypair.js'
import { DROP } from '../drop-reasons.js'
import { PeerBlocks } from '../peer-block.js'
import type { OuterPort } from '../ports.js'
import type { EventQueue } from './event-queue.js'
import type { OrderedClock } from './ordered-clock.js'
import { OwnDatagrams } from './own-datagrams.js'
import { PackedPath } from './packed-path.js'

export class PeerState {
  readonly slot: number
  readonly rotation: KeypairRotation = new KeypairRotation()
  readonly path: PackedPath = new PackedPath()
  /** owned: copies of inner packets, oldest first; an empty one stands for a keepalive. */
  readonly staged: Uint8Array[] = []
  /** `handshakeNeeded` was raised, and nothing has come of it yet. */
  isHandshakeRaised = false
  /** Whether messages from elsewhere move the path. */
  isRoaming = true
  /** The table of allowed IPs was set while it was there, so what the table says of its slot is meant for it. */
  isRouted = false

  constructor(slot: number) {
    this.slot = slot
  }
}

export interface LiveKeypair {
  readonly peer: PeerState
  readonly keypair: Keypair
}

export interface PlaneOptions {
  readonly capacity: number
  readonly mtu: number
  readonly crypto: Crypto
  readonly events: EventQueue
  readonly clock: OrderedClock
}

export class PlaneState {
  readonly blocks: PeerBlocks
  readonly crypto: Crypto
  readonly events: EventQueue
  readonly clock: OrderedClock
  readonly sockets: Map<SocketId, OuterPort> = new Map()
  readonly peers: (PeerState | undefined)[]
  readonly ownDatagrams: OwnDatagrams = new OwnDatagrams(this)
  mtu: number
  readonly #allowedIps = new AllowedIps()
  readonly #keypairs = new Map<number, LiveKeypair>()

  constructor(options: PlaneOptions) {
    this.blocks = new PeerBlocks(new ArrayBuffer(PeerBlocks.bytesFor(options.capacity)))
    this.peers = new Array<PeerState | undefined>(options.capacity).fill(undefined)
    this.crypto = options.crypto
    this.events = options.events
    this.clock = options.clock
    this.mtu = options.mtu
  }

  /** The peer whose allowed IPs hold the address at `bytes[offset]`. */
  routeTo(bytes: Uint8Array, offset: number, family: 4 | 6): PeerState | undefined {
    const slot = this.#allowedIps.lookup(bytes, offset, family)
    const peer = slot < 0 ? undefined : this.peers[slot]
    return peer?.isRouted === true ? peer : undefined
  }

  changeAllowedIps(changes: readonly AllowedIpChange[]): void {
    for (const { prefix, slot } of changes) {
      if (slot === undefined) {
        this.#allowedIps.remove(prefix)
        continue
      }
      this.#allowedIps.insert(prefix, slot)
      const peer = this.peers[slot]
      if (peer !== undefined) peer.isRouted = true
    }
  }

  addKeypair(peer: PeerState, keypair: Keypair): void {
    this.#keypairs.set(keypair.localIndex | 0, { peer, keypair })
  }

  /** Signed keys are small integers to the engine, so a look-up allocates nothing. */
  findKeypair(localIndex: number): LiveKeypair | undefined {
    return this.#keypairs.get(localIndex | 0)
  }

  /** Gives the local indices. */
  forgetKeypairs(keypairs: readonly Keypair[]): readonly number[] {
    for (const keypair of keypairs) this.#keypairs.delete(keypair.localIndex | 0)
    return keypairs.map((keypair) => keypair.localIndex)
  }

  raiseHandshake(peer: PeerState): void {
    if (peer.isHandshakeRaised) return
    peer.isHandshakeRaised = true
    this.events.push({ kind: 'handshakeNeeded', slot: peer.slot })
  }

  /** `packet`: handed over. */
  stage(peer: PeerState, packet: Uint8Array): void {
    peer.staged.push(packet)
    if (peer.staged.length > MAX_STAGED_PACKETS) {
      peer.staged.shift()
      this.blocks.countDrop(peer.slot, DROP.stagedOverflow)
    }
    this.raiseHandshake(peer)
  }

  /** The next packet that waits may ask for a handshake again. */
  dropStaged(peer: PeerState, reason: number): void {
    for (const _ of peer.staged) this.blocks.countDrop(peer.slot, reason)
    peer.staged.length = 0
    peer.isHandshakeRaised = false
  }
}
