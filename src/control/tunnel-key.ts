/**
 * Tunnel keys with a signature of the node's identity: what keeps a dishonest hub from putting itself in
 * a node's place. Peers check it against the identity they trust.
 */

import { concatBytes, formatBase64, tryParseBase64 } from '../base/bytes.js'
import { formatKeyBase64, type PublicKey, tryParseKeyBase64 } from '../wireguard/keys.js'
import { type Identity, isSignedBy } from './identity.js'

/** What a signature says of a key. One for a key in use never passes for one of a key that is going out of use. */
const LABELS = { current: 'overlay tunnel key v2', previous: 'overlay previous tunnel key v2' } as const
export type TunnelKeyRole = keyof typeof LABELS
/** A clock may be wrong by so much. */
export const CLOCK_SKEW_S: number = 24 * 3600

/** As it goes over the wire. */
export interface SignedTunnelKey {
  /** Base64. */
  readonly key: string
  /**
   * Rises with every key of this identity, so that nobody can bring an old one back. A previous key has that of
   * the key which took its place.
   */
  readonly number: number
  /** Seconds since 1970. */
  readonly notBefore: number
  readonly notAfter: number
  /** Base64, of 64 bytes: over key 32 · number 8 · notBefore 8 · notAfter 8, big-endian. */
  readonly signature: string
}

/** Beside the key, what is signed of it. */
export type TunnelKeyTerms = Pick<SignedTunnelKey, 'number' | 'notBefore' | 'notAfter'>

/** Of one node: while it changes its key, peers may meet either. */
export interface SignedTunnelKeys {
  readonly tunnelKey: SignedTunnelKey
  readonly previousTunnelKey?: SignedTunnelKey | undefined
}

export function signTunnelKey(
  identity: Identity,
  key: PublicKey,
  terms: TunnelKeyTerms,
  role: TunnelKeyRole = 'current',
): SignedTunnelKey {
  const signature = identity.sign(LABELS[role], signedBytes(key, terms))
  return { key: formatKeyBase64(key), ...terms, signature: formatBase64(signature) }
}

/** The key, if `identity` signed it and it is valid at `wallNowMs`; else why not, in words. */
export function verifyTunnelKey(
  identity: Uint8Array,
  signed: SignedTunnelKey,
  wallNowMs: number,
  role: TunnelKeyRole = 'current',
): { readonly key: PublicKey } | { readonly fault: string } {
  const key = tryParseKeyBase64<PublicKey>(signed.key)
  const signature = tryParseBase64(signed.signature)
  if (key === undefined || signature === undefined) return { fault: 'its tunnel key is malformed' }
  if (!isSignedBy(identity, signature, LABELS[role], signedBytes(key, signed))) {
    return { fault: 'its tunnel key is not signed by its identity' }
  }
  const nowS = wallNowMs / 1000
  if (nowS < signed.notBefore - CLOCK_SKEW_S) return { fault: 'its tunnel key is not valid yet' }
  if (nowS > signed.notAfter + CLOCK_SKEW_S) return { fault: 'its tunnel key has expired' }
  return { key }
}

/** To the last bit: what was verified for one holds for the other. */
export function areSameKeys(one: SignedTunnelKeys, other: SignedTunnelKeys): boolean {
  return isSame(one.tunnelKey, other.tunnelKey) && isSame(one.previousTunnelKey, other.previousTunnelKey)
}

function isSame(one: SignedTunnelKey | undefined, other: SignedTunnelKey | undefined): boolean {
  if (one === undefined || other === undefined) return one === other
  const isSameSpan = one.notBefore === other.notBefore && one.notAfter === other.notAfter
  const isSameKey = one.key === other.key && one.number === other.number
  return isSameKey && isSameSpan && one.signature === other.signature
}

function signedBytes(key: Uint8Array, { number, notBefore, notAfter }: TunnelKeyTerms): Uint8Array {
  const terms = new Uint8Array(24)
  const view = new DataView(terms.buffer)
  for (const [index, value] of [number, notBefore, notAfter].entries()) {
    view.setBigUint64(8 * index, BigInt(Math.max(0, Math.trunc(value))))
  }
  return concatBytes(key, terms)
}
