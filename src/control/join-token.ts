/**
 * Join tokens: one string with what a node needs to enrol. `ovl1_` and base64url of JSON, behind it four
 * bytes of hash, so that a torn copy is noticed before anybody is asked.
 *
 * It holds a secret: no message shows a token, not even one that is wrong.
 */

import { concatBytes, equalBytes, formatBase64, tryParseBase64 } from '../base/bytes.js'
import { AppError, ERROR_CODES } from '../base/errors.js'
import { DNS_LABEL } from '../net/dns-label.js'
import { type HostEndpoint, tryParseHostEndpoint } from '../net/endpoint.js'
import { tryParseRange } from '../net/network-range.js'
import { formatPrefix, type Prefix } from '../net/prefix.js'
import type { Crypto } from '../wireguard/crypto.js'
import { formatKeyBase64, type PublicKey, tryParseKeyBase64 } from '../wireguard/keys.js'

const PREFIX = 'ovl1_'
const CHECK_BYTES = 4
const MAX_TOKEN_LENGTH = 2048
const HINT = 'copy the whole line that this printed: overlay hub token create'

export interface JoinToken {
  readonly hub: HostEndpoint
  readonly hubKey: PublicKey
  /** Name of the network. */
  readonly network: string
  /** Base64. */
  readonly secret: string
  /** Of the network, where it lies outside 100.64.0.0/10: whoever joins has to confirm it. */
  readonly range?: Prefix | undefined
}

export function formatJoinToken(crypto: Crypto, token: JoinToken): string {
  const { hub, hubKey, network, secret, range } = token
  const fields = {
    n: network,
    h: hub.host,
    p: hub.port,
    k: formatKeyBase64(hubKey),
    s: secret,
    ...(range !== undefined && { r: formatPrefix(range) }),
  }
  const body = new TextEncoder().encode(JSON.stringify(fields))
  const text = formatBase64(concatBytes(body, crypto.hash(body).subarray(0, CHECK_BYTES)))
  return PREFIX + text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** Throws AppError. */
export function parseJoinToken(crypto: Crypto, text: string): JoinToken {
  const token = tryParse(crypto, text.trim())
  if (token !== undefined) return token
  throw new AppError(ERROR_CODES.token, 'that is no join token, or a part of it is missing', { hint: HINT })
}

function tryParse(crypto: Crypto, text: string): JoinToken | undefined {
  if (!text.startsWith(PREFIX) || text.length > MAX_TOKEN_LENGTH) return undefined
  const base64 = text.slice(PREFIX.length).replaceAll('-', '+').replaceAll('_', '/')
  const bytes = tryParseBase64(base64.padEnd(Math.ceil(base64.length / 4) * 4, '='))
  if (bytes === undefined || bytes.length <= CHECK_BYTES) return undefined
  const body = bytes.subarray(0, -CHECK_BYTES)
  if (!equalBytes(crypto.hash(body).subarray(0, CHECK_BYTES), bytes.subarray(-CHECK_BYTES))) return undefined
  const fields = tryParseJson(body)
  const { n, h, p, k, s, r } = fields ?? {}
  if (typeof n !== 'string' || !DNS_LABEL.test(n)) return undefined
  if (typeof h !== 'string' || typeof k !== 'string' || typeof s !== 'string') return undefined
  const host = h.includes(':') ? `[${h}]` : h
  const hub = tryParseHostEndpoint(`${host}:${p}`)
  const hubKey = tryParseKeyBase64<PublicKey>(k)
  if (hub === undefined || hubKey === undefined || tryParseBase64(s) === undefined) return undefined
  if (r === undefined) return { hub, hubKey, network: n, secret: s }
  const range = typeof r === 'string' ? tryParseRange(r) : undefined
  return range && { hub, hubKey, network: n, secret: s, range }
}

function tryParseJson(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes))
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}
