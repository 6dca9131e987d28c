/**
 * Tunnel keys with a signature of the node's identity: what keeps a dishonest hub from putting itself in
 * a node's place. Peers check it against the identity they trust.
 */

import { concatBytes, formatBase64, tryParseBase64 } from '../base/bytes.js'
import { formatKeyBase64, type PublicKey, tryParseKeyBase64 } from '../wireguard/keys.js'
import { type Identity, isSignedBy } from './identity.js'

const LABEL = 'overlay tunnel key v1'
/** A clock may be wrong by so much. */
const CLOCK_SKEW_S = 24 * 3600

/** As it goes over the wire. */
export interface SignedTunnelKey {
  /** Base64. */
  readonly key: string
  /** Seconds since 1970. */
  readonly notBefore: number
  readonly notAfter: number
  /** Base64, of 64 bytes: over key 32 · notBefore 8 · notAfter 8, big-endian. */
  readonly signature: string
}

/** Of one node: while it changes its key, peers may meet either. */
export interface SignedTunnelKeys {
  readonly tunnelKey: SignedTunnelKey
  readonly previousTunnelKey?: SignedTunnelKey | undefined
}

export function signTunnelKey(
  identity: Identity,
  key: PublicKey,
  span: { readonly notBefore: number; readonly notAfter: number },
): SignedTunnelKey {
  const signature = identity.sign(LABEL, signedBytes(key, span))
  return { key: formatKeyBase64(key), ...span, signature: formatBase64(signature) }
}

/** The key, if `identity` signed it and it is valid at `wallNowMs`; else why not, in words. */
export function verifyTunnelKey(
  identity: Uint8Array,
  signed: SignedTunnelKey,
  wallNowMs: number,
): { readonly key: PublicKey } | { readonly fault: string } {
  const key = tryParseKeyBase64<PublicKey>(signed.key)
  const signature = tryParseBase64(signed.signature)
  if (key === undefined || signature === undefined) return { fault: 'its tunnel key is malformed' }
  if (!isSignedBy(identity, signature, LABEL, signedBytes(key, signed))) {
    return { fault: 'its tunnel key is not signed by its identity' }
  }
  const nowS = wallNowMs / 1000
  if (nowS < signed.notBefore - CLOCK_SKEW_S) return { fault: 'its tunnel key is not valid yet' }
  if (nowS > signed.notAfter + CLOCK_SKEW_S) return { fault: 'its tunnel key has expired' }
  return { key }
}

function signedBytes(key: Uint8Array, span: { notBefore: number; notAfter: number }): Uint8Array {
  const times = new Uint8Array(16)
  const view = new DataView(times.buffer)
  view.setBigUint64(0, BigInt(Math.max(0, Math.trunc(span.notBefore))))
  view.setBigUint64(8, BigInt(Math.max(0, Math.trunc(span.notAfter))))
  return concatBytes(key, times)
}
