/**
 * What the device asks its driver to do, in order. The driver (src/daemon/engine.ts) turns each into
 * one call of the data plane. Nothing here is done by the device itself.
 */

import type { Path } from '../net/path.js'
import type { Prefix } from '../net/prefix.js'
import type { KeypairMaterial } from './keypair-material.js'
import type { PublicKey } from './keys.js'

/** Whose a prefix is from now on. */
export interface AllowedIpChange {
  readonly prefix: Prefix
  /** Undefined: nobody's. */
  readonly slot: number | undefined
}

export type Effect =
  | { readonly kind: 'send'; readonly path: Path; readonly message: Uint8Array; readonly tos: number }
  | { readonly kind: 'addPeer'; readonly slot: number }
  | { readonly kind: 'removePeer'; readonly slot: number }
  | { readonly kind: 'setPath'; readonly slot: number; readonly path: Path | undefined }
  | { readonly kind: 'setRoaming'; readonly slot: number; readonly isRoaming: boolean }
  | { readonly kind: 'installKeypair'; readonly slot: number; readonly keypair: KeypairMaterial }
  | { readonly kind: 'removeKeypairs'; readonly slot: number }
  | { readonly kind: 'sendKeepalive'; readonly slot: number }
  | { readonly kind: 'setKeepaliveInterval'; readonly slot: number; readonly ms: number }
  | { readonly kind: 'dropStaged'; readonly slot: number }
  | { readonly kind: 'changeAllowedIps'; readonly changes: readonly AllowedIpChange[] }
  /** A handshake is unanswered for a while: an endpoint given by name may have moved. */
  | { readonly kind: 'handshakeFailing'; readonly publicKey: PublicKey; readonly attempts: number }
  | { readonly kind: 'handshakeCompleted'; readonly publicKey: PublicKey }

/** Owned and drained by the caller of the device. */
export type Effects = Effect[]
