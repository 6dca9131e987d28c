/**
 * The boundary between deciding (TypeScript) and carrying (the data plane).
 *
 * Calls go down rarely: sockets, slots, keypairs, paths, allowed IPs. Events come up rarely and in
 * batches: what is not transport data, and the few moments a protocol machine must know. Everything
 * a timer or a person wants to read is in the shared PeerBlocks. No call is made per packet.
 *
 * Two implementations pass one compliance suite (test/support/data-plane-suite.ts).
 */

import type { Endpoint } from '../net/endpoint.js'
import type { IpAddress } from '../net/ip.js'
import type { Path, SocketId } from '../net/path.js'
import type { AllowedIpChange } from '../wireguard/effects.js'
import type { KeypairMaterial } from '../wireguard/keypair-material.js'
import type { PeerBlocks } from './peer-block.js'

/** Free bytes before the messages of a `frames` event: room for a header in place. */
export const FRAME_HEADROOM_BYTES = 64

export interface OuterSocketOptions {
  readonly family: 4 | 6
  /** 0 lets the kernel choose. */
  readonly port: number
  /** SO_MARK; 0 for none. */
  readonly mark: number
  /** Address to bind to; undefined for all. */
  readonly address?: IpAddress
}

export type DataPlaneEvent =
  /** Any datagram that is not transport data. `bytes` is a copy the receiver may keep. */
  | { readonly kind: 'datagram'; readonly path: Path; readonly bytes: Uint8Array }
  /**
   * A packet waits and no keypair can send it, or the current keypair is due for renewal because of
   * its age or counter. Raised once, then again only after the staged packets went out or were
   * dropped, or keypairs were installed or removed.
   */
  | { readonly kind: 'handshakeNeeded'; readonly slot: number }
  /** The first authenticated message under the next keypair: it is current now. */
  | {
      readonly kind: 'keypairConfirmed'
      readonly slot: number
      readonly localIndex: number
      /** Local indices of keypairs that went out with it. */
      readonly removed: readonly number[]
    }
  /**
   * An authenticated message came from elsewhere; the data plane sends there already. `localIndex`: of
   * the keypair it came under. Events come late: by it the receiver knows whether this is still news.
   */
  | {
      readonly kind: 'sourceChanged'
      readonly slot: number
      readonly localIndex: number
      readonly path: Path
    }
  /**
   * Messages for the far end of a path over a frame port: all of `segmentBytes` but the last. `frame` is
   * the receiver's to keep; they start FRAME_HEADROOM_BYTES into it.
   */
  | {
      readonly kind: 'frames'
      readonly port: SocketId
      readonly remote: Endpoint
      readonly frame: Uint8Array
      readonly segmentBytes: number
      /** Handshakes and probes: they go ahead of data. */
      readonly isControl: boolean
    }
  /** A system call failed in a way that does not heal by itself, or for the first time in a row. */
  | {
      readonly kind: 'failed'
      readonly syscall: string
      readonly errno: string
      readonly socket: SocketId | undefined
    }

export interface DataPlane {
  /** Counters and times of all slots. */
  readonly blocks: PeerBlocks
  /** What carries packets, in words. */
  describe(): string

  /** Binds a UDP socket. Throws PlatformError, for instance EADDRINUSE. Gives the port bound. */
  openSocket(options: OuterSocketOptions): { readonly socket: SocketId; readonly port: number }
  /**
   * A port for paths that TypeScript carries, over a relay or TCP. What is sent there comes as `frames`
   * events, of which a bounded number waits and the oldest gives way. Its remote endpoints are IPv6
   * addresses of the caller's making.
   */
  openFramePort(): SocketId
  /**
   * Messages that came over a frame port, all of `segmentBytes` but the last; 0: a single one. Treated as if from a socket;
   * `bytes` is opened in place and is not to be used afterwards.
   */
  deliver(port: SocketId, remote: Endpoint, bytes: Uint8Array, segmentBytes: number): void
  /** Of a socket or a frame port: paths over it become unusable; the caller sets others. */
  closeSocket(socket: SocketId): void
  /** Sets SO_MARK of all sockets, open ones and later ones. Throws PlatformError, for instance EPERM. */
  setMark(mark: number): void
  /** MTU of the inner interface: packets are padded to 16 bytes, but never above it. */
  setMtu(mtu: number): void

  /** `slot`: free, 0 to capacity - 1. Its block starts from zero. */
  addPeer(slot: number): void
  /**
   * Forgets keypairs, staged packets and path; gives the local indices of removed keypairs. Its allowed
   * IPs lead nowhere from now on, also if the slot is given away before they are taken back.
   */
  removePeer(slot: number): readonly number[]
  /**
   * Changes the table: all of it seen by packets at once. Prefixes are masked and distinct. Counts for the peers that
   * are in the slots now: prefixes of one that was removed are taken back before, or together with, those of the next.
   */
  changeAllowedIps(changes: readonly AllowedIpChange[]): void
  /** `undefined`: the peer has no path and its packets are dropped as `noPath`. */
  setPath(slot: number, path: Path | undefined): void
  /** Whether authentic messages from elsewhere move the peer there, as they do from the start. */
  setRoaming(slot: number, isRoaming: boolean): void

  /**
   * Adds a keypair by the rotation rules of src/wireguard/keypair.ts: an initiator's becomes
   * current, a responder's becomes next. Gives the local indices of keypairs that fell out. Nothing
   * is sent: after an initiator's, call sendKeepalive, so that staged packets, or an empty message,
   * prove the keys to the responder. A responder's staged packets go out when it is confirmed.
   */
  installKeypair(slot: number, keypair: KeypairMaterial): readonly number[]
  /** Wipes all keypairs of a slot; gives their local indices. */
  removeKeypairs(slot: number): readonly number[]

  /** Sends staged packets, or an empty message if none is staged. Without a usable keypair it stages the empty message. */
  sendKeepalive(slot: number): void
  /**
   * Interval of persistent keepalives, in ms; 0 for none. Whoever sets it sends them, by its timers. A data
   * plane with threads of its own sends one, as it does passive ones, when those timers are late.
   */
  setKeepaliveInterval(slot: number, ms: number): void
  /** Gives up staged packets, counted as `handshakeFailed`. */
  dropStaged(slot: number): void
  /**
   * Sends a control datagram (handshake, cookie reply, probe) ahead of data. False if the socket refused it.
   * `hops`: after which it is thrown away on its way; undefined for the system's default.
   */
  sendDatagram(path: Path, bytes: Uint8Array, tos: number, hops?: number): boolean

  /** Closes sockets and stops all work. The inner port stays with whoever opened it. Idempotent. */
  stop(): Promise<void>
}

/** Called with one batch of events, oldest first. */
export type DataPlaneListener = (events: readonly DataPlaneEvent[]) => void
