/**
 * One handshake with every input fixed, and what came of it: pinned as bytes in handshake.test.ts,
 * and read by another program in wireshark.test.ts.
 */

import { CookieJar } from '../../src/wireguard/cookie.js'
import type { Crypto, DhPrivateKey } from '../../src/wireguard/crypto.js'
import type { TransportKeys } from '../../src/wireguard/handshake.js'
import { encodeTai64n } from '../../src/wireguard/tai64n.js'
import { expectDefined, HandshakePair } from '../support/handshake-pair.js'
import { countingBytes } from '../support/hex.js'

export const INITIATOR_EPHEMERAL: Uint8Array = countingBytes(32, 0x41)
export const RESPONDER_EPHEMERAL: Uint8Array = countingBytes(32, 0x61)
export const PRESHARED_KEY: Uint8Array = countingBytes(32, 0x81)
/** 2023-11-14 22:13:20 UTC */
const WALL_MS = 1_700_000_000_000

export interface KnownHandshake {
  readonly initiator: DhPrivateKey
  readonly responder: DhPrivateKey
  readonly initiation: Uint8Array
  readonly response: Uint8Array
  readonly initiatorKeys: TransportKeys
  readonly responderKeys: TransportKeys
}

export function runKnownHandshake(crypto: Crypto): KnownHandshake {
  const seeds = [INITIATOR_EPHEMERAL, RESPONDER_EPHEMERAL]
  const pair = new HandshakePair(crypto, crypto, {
    random: () => new Uint8Array(expectDefined(seeds.shift())),
    initiator: countingBytes(32, 1),
    responder: countingBytes(32, 0x21),
    presharedKey: PRESHARED_KEY,
    timestamp: encodeTai64n(WALL_MS),
  })
  const initiation = pair.createInitiation()
  new CookieJar(crypto, pair.responder.publicKey).stamp(initiation.message, 0)
  const received = expectDefined(pair.consumeInitiation(initiation.message))
  const response = pair.createResponse(received.state)
  new CookieJar(crypto, pair.initiator.publicKey).stamp(response.message, 0)
  return {
    initiator: pair.initiator,
    responder: pair.responder,
    initiation: initiation.message,
    response: response.message,
    initiatorKeys: expectDefined(pair.consumeResponse(initiation.state, response.message)),
    responderKeys: response.keys,
  }
}
