/**
 * mac1, mac2 and cookies (paper sections 5.4.4 and 5.4.7): what lets a device drop handshake
 * messages cheaply, and under load demand proof that the sender receives at its source address.
 *
 * CookieChecker is for messages to us, CookieJar for messages to one peer. Handshake messages end
 * with mac1 (16 bytes) and mac2 (16 bytes). Whether there is load is not decided here.
 */

import { concatBytes, equalBytes, wipe } from '../base/bytes.js'
import type { Endpoint } from '../net/endpoint.js'
import { COOKIE_MAX_AGE_MS, COOKIE_SECRET_MAX_AGE_MS, KEY_BYTES, MAC_BYTES } from './constants.js'
import type { Crypto, RandomBytes } from './crypto.js'
import type { PublicKey } from './keys.js'
import { type CookieReply, encodeCookieReply, readUint32Le, SENDER_INDEX_OFFSET } from './messages.js'

const COOKIE_NONCE_BYTES = 24
const LABEL_MAC1 = asciiBytes('mac1----')
const LABEL_COOKIE = asciiBytes('cookie--')
const NO_MAC = new Uint8Array(MAC_BYTES)

/** Checks messages to the owner of `publicKey` and hands out cookies. */
export class CookieChecker {
  readonly #crypto: Crypto
  readonly #random: RandomBytes
  readonly #mac1Key: Uint8Array
  readonly #cookieKey: Uint8Array
  #secret: { readonly bytes: Uint8Array; readonly expiresAtMs: number } | undefined

  constructor(crypto: Crypto, random: RandomBytes, publicKey: PublicKey) {
    this.#crypto = crypto
    this.#random = random
    this.#mac1Key = crypto.hash(LABEL_MAC1, publicKey)
    this.#cookieKey = crypto.hash(LABEL_COOKIE, publicKey)
  }

  /** Whether the sender knows our public key. */
  isMac1Valid(message: Uint8Array): boolean {
    if (message.length < 2 * MAC_BYTES) return false
    // mac1 = Mac(Hash(Label-Mac1 ‖ S_m'^pub), msg_α)
    const expected = this.#crypto.mac(this.#mac1Key, coveredByMac1(message))
    return equalBytes(expected, mac1Of(message))
  }

  /** Whether the sender holds the cookie that we gave to `source`. */
  isMac2Valid(message: Uint8Array, source: Endpoint, nowMs: number): boolean {
    if (message.length < 2 * MAC_BYTES) return false
    if (this.#secret === undefined || nowMs >= this.#secret.expiresAtMs) return false
    // mac2 = Mac(τ, msg_β)
    const cookie = this.#cookieFor(this.#secret.bytes, source)
    const expected = this.#crypto.mac(cookie, coveredByMac2(message))
    wipe(cookie)
    return equalBytes(expected, mac2Of(message))
  }

  /** `message`: an initiation or response with valid mac1. */
  createCookieReply(message: Uint8Array, source: Endpoint, nowMs: number): Uint8Array {
    const cookie = this.#cookieFor(this.#freshSecret(nowMs), source)
    const nonce = this.#random(COOKIE_NONCE_BYTES)
    // msg.cookie := Xaead(Hash(Label-Cookie ‖ S_m^pub), msg.nonce, τ, M)
    const sealedCookie = this.#crypto.xseal(this.#cookieKey, nonce, cookie, mac1Of(message))
    wipe(cookie)
    return encodeCookieReply({
      receiverIndex: readUint32Le(message, SENDER_INDEX_OFFSET),
      nonce,
      sealedCookie,
    })
  }

  /** R_m, changed every two minutes. */
  #freshSecret(nowMs: number): Uint8Array {
    if (this.#secret === undefined || nowMs >= this.#secret.expiresAtMs) {
      if (this.#secret !== undefined) wipe(this.#secret.bytes)
      this.#secret = { bytes: this.#random(KEY_BYTES), expiresAtMs: nowMs + COOKIE_SECRET_MAX_AGE_MS }
    }
    return this.#secret.bytes
  }

  /** τ := Mac(R_m, A_m'): the source as its address and its port, big-endian. */
  #cookieFor(secret: Uint8Array, source: Endpoint): Uint8Array {
    const port = Uint8Array.of(source.port >> 8, source.port)
    return this.#crypto.mac(secret, concatBytes(source.address.bytes, port))
  }
}

/** Puts mac1 and mac2 on messages to the owner of `remotePublic` and keeps the cookie it gave us. */
export class CookieJar {
  readonly #crypto: Crypto
  readonly #mac1Key: Uint8Array
  readonly #cookieKey: Uint8Array
  /** mac1 of the last message sent, until a cookie reply has answered it. */
  #lastMac1: Uint8Array | undefined
  #cookie: { readonly bytes: Uint8Array; readonly expiresAtMs: number } | undefined

  constructor(crypto: Crypto, remotePublic: PublicKey) {
    this.#crypto = crypto
    this.#mac1Key = crypto.hash(LABEL_MAC1, remotePublic)
    this.#cookieKey = crypto.hash(LABEL_COOKIE, remotePublic)
  }

  /** Writes both macs into an initiation or response. To be called right before it is sent. */
  stamp(message: Uint8Array, nowMs: number): void {
    const mac1 = this.#crypto.mac(this.#mac1Key, coveredByMac1(message))
    mac1Of(message).set(mac1)
    const cookie = this.#cookie
    const isFresh = cookie !== undefined && nowMs < cookie.expiresAtMs
    mac2Of(message).set(isFresh ? this.#crypto.mac(cookie.bytes, coveredByMac2(message)) : NO_MAC)
    this.#lastMac1 = mac1
  }

  /**
   * False, and nothing changes, unless the reply answers the last message stamped. A message is
   * answered once: later replies to it are refused.
   */
  consumeCookieReply(reply: CookieReply, nowMs: number): boolean {
    if (this.#lastMac1 === undefined) return false
    const cookie = this.#crypto.xopen(this.#cookieKey, reply.nonce, reply.sealedCookie, this.#lastMac1)
    if (cookie === undefined) return false
    if (this.#cookie !== undefined) wipe(this.#cookie.bytes)
    this.#cookie = { bytes: cookie, expiresAtMs: nowMs + COOKIE_MAX_AGE_MS }
    this.#lastMac1 = undefined
    return true
  }
}

function coveredByMac1(message: Uint8Array): Uint8Array {
  return message.subarray(0, -2 * MAC_BYTES)
}

function coveredByMac2(message: Uint8Array): Uint8Array {
  return message.subarray(0, -MAC_BYTES)
}

function mac1Of(message: Uint8Array): Uint8Array {
  return message.subarray(-2 * MAC_BYTES, -MAC_BYTES)
}

function mac2Of(message: Uint8Array): Uint8Array {
  return message.subarray(-MAC_BYTES)
}

function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}
