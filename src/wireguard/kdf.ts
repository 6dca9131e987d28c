/**
 * KDF1, KDF2 and KDF3 of the paper (section 5.4): HKDF (RFC 5869) over HMAC-BLAKE2s, with the
 * chaining key as salt and no info. Intermediate secrets are wiped; the outputs are the caller's.
 */

import { concatBytes, wipe } from '../base/bytes.js'
import type { Crypto } from './crypto.js'

const ONE = Uint8Array.of(1)

/** τ0 := HMAC(key, input); τ1 := HMAC(τ0, 1) */
export function kdf1(crypto: Crypto, key: Uint8Array, input: Uint8Array): Uint8Array {
  const t0 = crypto.hmac(key, input)
  const t1 = crypto.hmac(t0, ONE)
  wipe(t0)
  return t1
}

/** τ1 as above; τ2 := HMAC(τ0, τ1 ‖ 2) */
export function kdf2(crypto: Crypto, key: Uint8Array, input: Uint8Array): [Uint8Array, Uint8Array] {
  const t0 = crypto.hmac(key, input)
  const t1 = crypto.hmac(t0, ONE)
  const t2 = expand(crypto, t0, t1, 2)
  wipe(t0)
  return [t1, t2]
}

/** τ1, τ2 as above; τ3 := HMAC(τ0, τ2 ‖ 3) */
export function kdf3(
  crypto: Crypto,
  key: Uint8Array,
  input: Uint8Array,
): [Uint8Array, Uint8Array, Uint8Array] {
  const t0 = crypto.hmac(key, input)
  const t1 = crypto.hmac(t0, ONE)
  const t2 = expand(crypto, t0, t1, 2)
  const t3 = expand(crypto, t0, t2, 3)
  wipe(t0)
  return [t1, t2, t3]
}

function expand(crypto: Crypto, t0: Uint8Array, previous: Uint8Array, step: number): Uint8Array {
  const input = concatBytes(previous, Uint8Array.of(step))
  const output = crypto.hmac(t0, input)
  wipe(input)
  return output
}
