/**
 * The secrets of a hub in its file hub.key, one a line: the seed that all of its keys follow from; while a change of
 * keys overlaps, the seed before, and until when it counts; and the proof that relays learn the last change by.
 *
 * The file is replaced whole, so that a crash leaves the hub with the keys of before or of after a change.
 */

import { equalBytes, formatBase64, tryParseBase64 } from '../base/bytes.js'
import { type Identity, identityFromSeed } from '../control/identity.js'
import { createSuccession, SUCCESSION_BYTES, tryOpenSuccession } from '../control/succession.js'
import type { Crypto, DhPrivateKey } from '../wireguard/crypto.js'
import { kdf1 } from '../wireguard/kdf.js'

export const SEED_BYTES = 32
const SESSION_LABEL = new TextEncoder().encode('overlay hub session key v1')
const SIGNING_LABEL = new TextEncoder().encode('overlay hub signing key v1')
const RELAY_LABEL = new TextEncoder().encode('overlay hub relay key v1')
const PREVIOUS = 'previous'
const SUCCESSION = 'succession'

export interface HubKeys {
  readonly seed: Uint8Array
  readonly previous?: { readonly seed: Uint8Array; readonly untilS: number } | undefined
  readonly succession?: Uint8Array | undefined
}

export function formatHubKeys({ seed, previous, succession }: HubKeys): string {
  const lines = [formatBase64(seed)]
  if (previous !== undefined) lines.push(`${PREVIOUS} ${formatBase64(previous.seed)} ${previous.untilS}`)
  if (succession !== undefined) lines.push(`${SUCCESSION} ${formatBase64(succession)}`)
  return `${lines.join('\n')}\n`
}

/** Undefined if any of it is damaged. */
export function tryParseHubKeys(text: string): HubKeys | undefined {
  const [first = '', ...others] = text.trim().split('\n')
  const seed = tryParseBase64(first.trim())
  let keys: HubKeys | undefined = seed?.length === SEED_BYTES ? { seed } : undefined
  for (const line of others) keys = keys && withLine(keys, line.trim().split(' '))
  return keys
}

function withLine(keys: HubKeys, [word, value = '', until = '']: readonly string[]): HubKeys | undefined {
  const bytes = tryParseBase64(value)
  if (word === SUCCESSION && bytes?.length === SUCCESSION_BYTES) return { ...keys, succession: bytes }
  const isPrevious = word === PREVIOUS && bytes?.length === SEED_BYTES && /^\d{1,12}$/.test(until)
  return isPrevious ? { ...keys, previous: { seed: bytes, untilS: Number(until) } } : undefined
}

/** `next`: a new seed. The keys of now count on until `untilS`. */
export function rotateHubKeys(crypto: Crypto, keys: HubKeys, next: Uint8Array, untilS: number): HubKeys {
  const succession = createSuccession(signingKey(crypto, keys.seed), {
    key: signingKey(crypto, next).publicKey,
    untilS,
  })
  return { seed: next, previous: { seed: keys.seed, untilS }, succession }
}

/** Whether the keys of `later` came next after those of `earlier`: the proof for relays tells. */
export function isNextKey(crypto: Crypto, earlier: HubKeys, later: HubKeys): boolean {
  if (later.succession === undefined) return false
  const next = tryOpenSuccession(signingKey(crypto, earlier.seed).publicKey, later.succession)
  return next !== undefined && equalBytes(next.key, signingKey(crypto, later.seed).publicKey)
}

/** The seed before is forgotten; the proof stays, for relays that were away. */
export function retireHubKeys({ seed, succession }: HubKeys): HubKeys {
  return { seed, succession }
}

export function sessionKey(crypto: Crypto, seed: Uint8Array): DhPrivateKey {
  return crypto.dhPrivateKey(kdf1(crypto, SESSION_LABEL, seed))
}

export function signingKey(crypto: Crypto, seed: Uint8Array): Identity {
  return identityFromSeed(kdf1(crypto, SIGNING_LABEL, seed))
}

/** Of the hub's own relay. */
export function relaySeed(crypto: Crypto, seed: Uint8Array): Uint8Array {
  return kdf1(crypto, RELAY_LABEL, seed)
}
