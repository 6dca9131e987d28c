/** Two parties and one handshake between them, step by step, for tests of the pure handshake. */

import type { Crypto, DhPrivateKey, RandomBytes } from '../../src/wireguard/crypto.js'
import {
  type ConsumedInitiation,
  consumeInitiation,
  consumeResponse,
  createInitiation,
  createResponse,
  type InitiationReceivedState,
  type InitiationState,
  type TransportKeys,
} from '../../src/wireguard/handshake.js'
import { decodeInitiation, decodeResponse } from '../../src/wireguard/messages.js'

export interface HandshakePairOptions {
  readonly random: RandomBytes
  readonly initiator: Uint8Array
  readonly responder: Uint8Array
  readonly presharedKey: Uint8Array
  readonly timestamp: Uint8Array
}

export class HandshakePair {
  readonly #options: HandshakePairOptions
  readonly #initiatorCrypto: Crypto
  readonly #responderCrypto: Crypto
  readonly initiator: DhPrivateKey
  readonly responder: DhPrivateKey
  readonly staticStatic: Uint8Array

  constructor(initiatorCrypto: Crypto, responderCrypto: Crypto, options: HandshakePairOptions) {
    this.#options = options
    this.#initiatorCrypto = initiatorCrypto
    this.#responderCrypto = responderCrypto
    this.initiator = initiatorCrypto.dhPrivateKey(options.initiator)
    this.responder = responderCrypto.dhPrivateKey(options.responder)
    this.staticStatic = expectDefined(this.initiator.sharedSecret(this.responder.publicKey))
  }

  createInitiation(): { readonly message: Uint8Array; readonly state: InitiationState } {
    return expectDefined(
      createInitiation(this.#initiatorCrypto, this.#options.random, {
        staticPrivate: this.initiator,
        remoteStatic: this.responder.publicKey,
        staticStatic: this.staticStatic,
        senderIndex: 0x11223344,
        timestamp: this.#options.timestamp,
      }),
    )
  }

  consumeInitiation(message: Uint8Array): ConsumedInitiation | undefined {
    const initiation = expectDefined(decodeInitiation(message))
    return consumeInitiation(this.#responderCrypto, this.responder, initiation, () => this)
  }

  createResponse(state: InitiationReceivedState): {
    readonly message: Uint8Array
    readonly keys: TransportKeys
  } {
    const { random, presharedKey } = this.#options
    return expectDefined(
      createResponse(this.#responderCrypto, random, { state, presharedKey, senderIndex: 0xaabbccdd }),
    )
  }

  consumeResponse(state: InitiationState, message: Uint8Array): TransportKeys | undefined {
    const response = expectDefined(decodeResponse(message))
    const { presharedKey } = this.#options
    return consumeResponse(this.#initiatorCrypto, this.initiator, { state, presharedKey, response })
  }
}

export function expectDefined<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('expected a value, got undefined')
  return value
}
