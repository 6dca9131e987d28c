/** Join tokens of a hub: made, listed, spent, taken back. Their secrets are not kept. */

import { formatBase64, formatHex, tryParseBase64 } from '../base/bytes.js'
import { AppError, ERROR_CODES, RequestError } from '../base/errors.js'
import { DNS_LABEL } from '../net/dns-label.js'
import type { Crypto, RandomBytes } from '../wireguard/crypto.js'
import type { AuditRecord, Store, TokenRecord } from './store.js'
import type { StoreWriter } from './store-writer.js'

const SECRET_BYTES = 16
/** Of the hash of a secret: enough to tell tokens apart, and it leads nobody to the secret. */
const ID_BYTES = 5
const MAX_TOKENS = 10_000

export interface TokensOptions {
  readonly store: Store
  readonly writer: StoreWriter
  readonly crypto: Crypto
  readonly random: RandomBytes
  readonly wallNowMs: () => number
}

export interface TokenRequest {
  /** Empty for a name of the node's choice. */
  readonly nodeName: string
  readonly tags: readonly string[]
  readonly uses: number
  readonly lifetimeMs: number
  readonly isEphemeral: boolean
}

export class Tokens {
  readonly #options: TokensOptions

  constructor(options: TokensOptions) {
    this.#options = options
  }

  /** Returns the secret, in base64. Throws AppError. */
  create(request: TokenRequest): { readonly secret: string; readonly id: string } {
    const { store, writer, crypto, random, wallNowMs } = this.#options
    const { lifetimeMs, uses, ...rest } = request
    const nowMs = wallNowMs()
    const tokens = store.tokens()
    const old = tokens.filter(({ expiresAtMs }) => expiresAtMs <= nowMs)
    if (tokens.length - old.length >= MAX_TOKENS) {
      throw new AppError(ERROR_CODES.limit, `there are ${MAX_TOKENS} tokens already`, {
        hint: 'take some back: overlay hub token revoke ID; see: overlay hub token list',
      })
    }
    if (rest.nodeName !== '') requireLabel(rest.nodeName, 'name')
    for (const tag of rest.tags) requireLabel(tag, 'tags')
    const secret = random(SECRET_BYTES)
    const hash = formatBase64(crypto.hash(secret))
    const token = { hash, usesLeft: uses, expiresAtMs: nowMs + lifetimeMs, ...rest }
    const id = tokenId(token)
    const detail = `${id}, uses ${uses}, for ${lifetimeMs / 1000} s`
    writer.write(() => {
      for (const expired of old) store.deleteToken(expired.hash)
      store.putToken(token)
      store.appendAudit(this.#record('token.created', rest.nodeName, detail))
    })
    return { secret: formatBase64(secret), id }
  }

  /** Those that are valid, the next to expire first. */
  list(): readonly TokenRecord[] {
    const nowMs = this.#options.wallNowMs()
    const valid = this.#options.store.tokens().filter(({ expiresAtMs }) => expiresAtMs > nowMs)
    return valid.sort((a, b) => a.expiresAtMs - b.expiresAtMs)
  }

  /** Throws AppError. */
  revoke(id: string): TokenRecord {
    const { store, writer } = this.#options
    const found = store.tokens().filter((token) => tokenId(token) === id)
    const [first] = found
    if (first === undefined) {
      throw new AppError(ERROR_CODES.notFound, `there is no token ${id}`, {
        hint: 'see all of them: overlay hub token list',
      })
    }
    writer.write(() => {
      for (const { hash } of found) store.deleteToken(hash)
      store.appendAudit(this.#record('token.revoked', first.nodeName, `${id}, uses left ${first.usesLeft}`))
    })
    return first
  }

  /** Undefined if it is unknown, used up, taken back or expired. */
  tryFind(secretText: string): TokenRecord | undefined {
    const { store, crypto, wallNowMs } = this.#options
    const secret = tryParseBase64(secretText)
    const token = secret && store.findToken(formatBase64(crypto.hash(secret)))
    return token !== undefined && token.expiresAtMs > wallNowMs() ? token : undefined
  }

  /** In a transaction. */
  spend(token: TokenRecord, store: Store): void {
    if (token.usesLeft <= 1) store.deleteToken(token.hash)
    else store.putToken({ ...token, usesLeft: token.usesLeft - 1 })
  }

  #record(event: string, subject: string, detail: string): AuditRecord {
    return { atMs: this.#options.wallNowMs(), event, subject, detail }
  }
}

/** What people call a token by. */
export function tokenId({ hash }: TokenRecord): string {
  return formatHex((tryParseBase64(hash) ?? new Uint8Array()).subarray(0, ID_BYTES))
}

/** Throws RequestError, with `field`, for what can be neither a name nor a tag. */
export function requireLabel(word: string, field: string): void {
  if (DNS_LABEL.test(word)) return
  throw new RequestError(field, `"${word}" cannot be a name or a tag`, {
    hint: 'use up to 63 lower case letters, digits and dashes',
  })
}
