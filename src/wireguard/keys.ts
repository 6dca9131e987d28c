/**
 * The three kinds of key a user handles, as distinct types over 32 bytes.
 *
 * Text forms: base64 (files, `wg`) and hex (UAPI). Only public keys have a short form for people and
 * logs. Private and preshared keys are turned into text in two places alone: the files a user asked
 * for and the UAPI socket.
 */

import { formatBase64, formatHex, tryParseBase64, tryParseHex } from '../base/bytes.js'
import { KEY_BYTES } from './constants.js'

declare const kind: unique symbol
export type PublicKey = Uint8Array & { readonly [kind]: 'public' }
export type PrivateKey = Uint8Array & { readonly [kind]: 'private' }
export type PresharedKey = Uint8Array & { readonly [kind]: 'preshared' }
export type AnyKey = PublicKey | PrivateKey | PresharedKey

/** `bytes`: 32. The caller hands the array over. */
export function keyFromBytes<K extends AnyKey>(bytes: Uint8Array): K {
  if (bytes.length !== KEY_BYTES) throw new RangeError(`a key has ${KEY_BYTES} bytes, not ${bytes.length}`)
  return bytes as K
}

export function tryParseKeyBase64<K extends AnyKey>(text: string): K | undefined {
  const bytes = tryParseBase64(text)
  return bytes?.length === KEY_BYTES ? (bytes as K) : undefined
}

export function tryParseKeyHex<K extends AnyKey>(text: string): K | undefined {
  const bytes = tryParseHex(text)
  return bytes?.length === KEY_BYTES ? (bytes as K) : undefined
}

export function formatKeyBase64(key: AnyKey): string {
  return formatBase64(key)
}

export function formatKeyHex(key: AnyKey): string {
  return formatHex(key)
}

/** `AbCd…WxYz`: enough to tell peers apart in logs and on screens. */
export function formatShortKey(key: PublicKey): string {
  const text = formatBase64(key)
  return `${text.slice(0, 4)}…${text.slice(39, 43)}`
}
