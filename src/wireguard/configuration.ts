/**
 * What can be set on a device and what can be read from it. The file, the UAPI socket and the local
 * API all speak in these values; Device applies them.
 */

import type { Endpoint } from '../net/endpoint.js'
import type { Prefix } from '../net/prefix.js'
import type { PresharedKey, PrivateKey, PublicKey } from './keys.js'

/** A change. Absent fields stay as they are. Mirrors the UAPI's set operation, field by field. */
export interface DeviceUpdate {
  /** `null` removes the key: the device then answers and sends nothing. */
  readonly privateKey?: PrivateKey | null
  /**
   * A second key of ours, which managed peers may know us by still: initiations to it are answered, and
   * repeated ones made with it. If `privateKey` takes the place of this one, nothing that was agreed with
   * managed peers ends. `null` removes it; so does another `privateKey`.
   */
  readonly previousPrivateKey?: PrivateKey | null
  /** 0 lets the kernel choose. */
  readonly listenPort?: number
  /** 0 for none. */
  readonly fwmark?: number
  /** Remove all peers before `peers` is applied. */
  readonly replacePeers?: boolean
  readonly peers: readonly PeerUpdate[]
}

export interface PeerUpdate {
  readonly publicKey: PublicKey
  /**
   * A second key of a managed peer, which it may still use: `null` for none. A managed peer that had it as its
   * public key becomes this one, and nothing that was agreed with it ends.
   */
  readonly previousKey?: PublicKey | null
  readonly remove?: boolean
  /** Skip the peer if it does not exist. */
  readonly updateOnly?: boolean
  /** `null` or all zero removes it. */
  readonly presharedKey?: PresharedKey | null
  readonly endpoint?: Endpoint
  /**
   * Its path is chosen for it (Device.setPeerPath): it stays where it was put, and answers to handshakes
   * go back the way they came. Counts when the peer is added.
   */
  readonly isManaged?: boolean
  /** Seconds, 0 to 65535; 0 is off. */
  readonly persistentKeepaliveS?: number
  readonly replaceAllowedIps?: boolean
  /** Applied in order; a prefix moves here from the peer that had it. */
  readonly allowedIps: readonly AllowedIpUpdate[]
}

export interface AllowedIpUpdate {
  readonly prefix: Prefix
  /** Take it away if this peer has it. */
  readonly remove?: boolean
}

export interface DeviceSnapshot {
  readonly privateKey: PrivateKey | undefined
  readonly publicKey: PublicKey | undefined
  readonly listenPort: number
  readonly fwmark: number
  /** In the order they were added. */
  readonly peers: readonly PeerSnapshot[]
}

export interface PeerSnapshot {
  readonly publicKey: PublicKey
  readonly presharedKey: PresharedKey | undefined
  readonly endpoint: Endpoint | undefined
  readonly isManaged: boolean
  readonly persistentKeepaliveS: number
  readonly allowedIps: readonly Prefix[]
  /** Wall clock, ms since 1970; 0 for never. */
  readonly lastHandshakeWallMs: number
  /** Boot clock ms; 0 for never. */
  readonly lastHandshakeMs: number
  /** Handshake and transport messages, in bytes of UDP payload. */
  readonly rxBytes: number
  readonly txBytes: number
  readonly state: PeerState
  /** By how many seconds the peer's clock went back, so that its initiations are refused; 0 if it did not. */
  readonly clockBehindS: number
}

/**
 * - `idle`: no keypair and no handshake under way
 * - `handshaking`: an initiation is out and unanswered, no usable keypair
 * - `connected`: a keypair can carry data
 * - `unreachable`: handshakes were given up since the last success
 */
export type PeerState = 'idle' | 'handshaking' | 'connected' | 'unreachable'
