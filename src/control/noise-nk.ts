/**
 * Noise_NK_25519_ChaChaPoly_BLAKE2s (Noise specification, revision 34): the session between a node and
 * its hub or a relay, the server here. The node knows the server's static key; the server learns who the
 * node is inside.
 *
 *   <- s
 *   ...
 *   -> e, es        32 + 16 bytes
 *   <- e, ee        32 + 16 bytes
 *
 * Messages afterwards are sealed with a counter of their own in each direction; they come in order, as the
 * stream under them promises, so one that does not open is a forgery and ends the session.
 */

import { concatBytes } from '../base/bytes.js'
import { KEY_BYTES, TAG_BYTES } from '../wireguard/constants.js'
import type { Crypto, DhPrivateKey, RandomBytes } from '../wireguard/crypto.js'
import { keyFromBytes, type PublicKey } from '../wireguard/keys.js'
import { SymmetricState } from '../wireguard/symmetric-state.js'

const PROTOCOL = new TextEncoder().encode('Noise_NK_25519_ChaChaPoly_BLAKE2s')
const NOTHING = new Uint8Array(0)
const HANDSHAKE_BYTES: number = KEY_BYTES + TAG_BYTES

/** Makes sessions of one kind: a handshake of one kind never completes as another. */
export interface NoiseKind {
  readonly crypto: Crypto
  readonly random: RandomBytes
  /** In words, with a version. */
  readonly prologue: 'overlay control v1' | 'overlay relay v1'
}

/** Both ends of one session have the mirror image of it. */
export class NoiseSession {
  readonly #crypto: Crypto
  readonly #sendKey: Uint8Array
  readonly #receiveKey: Uint8Array
  #sent = 0
  #received = 0
  /** Names this session: what an identity signs to prove itself in it and in no other. */
  readonly handshakeHash: Uint8Array

  constructor(crypto: Crypto, keys: { send: Uint8Array; receive: Uint8Array }, handshakeHash: Uint8Array) {
    this.#crypto = crypto
    this.#sendKey = keys.send
    this.#receiveKey = keys.receive
    this.handshakeHash = handshakeHash
  }

  seal(plaintext: Uint8Array): Uint8Array {
    return this.#crypto.seal(this.#sendKey, this.#sent++, plaintext, NOTHING)
  }

  /** Undefined if it is not the next message of the other end. */
  open(sealed: Uint8Array): Uint8Array | undefined {
    if (sealed.length < TAG_BYTES) return undefined
    const plaintext = this.#crypto.open(this.#receiveKey, this.#received, sealed, NOTHING)
    if (plaintext !== undefined) this.#received += 1
    return plaintext
  }

  /** The next message of the other end is not looked at. */
  skip(): void {
    this.#received += 1
  }

  wipe(): void {
    this.#sendKey.fill(0)
    this.#receiveKey.fill(0)
  }
}

/** The node's half: create, send `message`, then `finish` with the answer. */
export class NoiseInitiator {
  readonly message: Uint8Array
  readonly #crypto: Crypto
  readonly #state: SymmetricState
  readonly #ephemeral: DhPrivateKey

  private constructor(crypto: Crypto, state: SymmetricState, ephemeral: DhPrivateKey, message: Uint8Array) {
    this.#crypto = crypto
    this.#state = state
    this.#ephemeral = ephemeral
    this.message = message
  }

  /** Undefined for a server key of low order. */
  static tryCreate(kind: NoiseKind, serverKey: PublicKey): NoiseInitiator | undefined {
    const { crypto, random } = kind
    const state = startState(kind, serverKey)
    const ephemeral = crypto.dhPrivateKey(random(KEY_BYTES))
    state.mixHash(ephemeral.publicKey)
    const secret = ephemeral.sharedSecret(serverKey)
    if (secret === undefined) return undefined
    const tag = state.seal(state.mixKeyAndDerive(secret), NOTHING)
    return new NoiseInitiator(crypto, state, ephemeral, concatBytes(ephemeral.publicKey, tag))
  }

  /** Undefined if whoever answered does not hold the server's key. */
  finish(answer: Uint8Array): NoiseSession | undefined {
    if (answer.length !== HANDSHAKE_BYTES) return undefined
    const remote = keyFromBytes<PublicKey>(answer.slice(0, KEY_BYTES))
    this.#state.mixHash(remote)
    const secret = this.#ephemeral.sharedSecret(remote)
    this.#ephemeral.wipe()
    if (secret === undefined) return undefined
    const opened = this.#state.open(this.#state.mixKeyAndDerive(secret), answer.subarray(KEY_BYTES))
    if (opened === undefined) return undefined
    const [send, receive] = this.#state.split()
    return new NoiseSession(this.#crypto, { send, receive }, this.#state.release().hash)
  }
}

/** The server's half: one call. Undefined if `message` was not made for the key `own`. */
export function respondNoise(
  kind: NoiseKind,
  own: DhPrivateKey,
  message: Uint8Array,
): { readonly session: NoiseSession; readonly answer: Uint8Array } | undefined {
  if (message.length !== HANDSHAKE_BYTES) return undefined
  const { crypto, random } = kind
  const state = startState(kind, own.publicKey)
  const remote = keyFromBytes<PublicKey>(message.slice(0, KEY_BYTES))
  state.mixHash(remote)
  const staticSecret = own.sharedSecret(remote)
  if (staticSecret === undefined) return undefined
  if (state.open(state.mixKeyAndDerive(staticSecret), message.subarray(KEY_BYTES)) === undefined) {
    return undefined
  }
  const ephemeral = crypto.dhPrivateKey(random(KEY_BYTES))
  state.mixHash(ephemeral.publicKey)
  const secret = ephemeral.sharedSecret(remote)
  ephemeral.wipe()
  if (secret === undefined) return undefined
  const tag = state.seal(state.mixKeyAndDerive(secret), NOTHING)
  const answer = concatBytes(ephemeral.publicKey, tag)
  const [receive, send] = state.split()
  return { session: new NoiseSession(crypto, { send, receive }, state.release().hash), answer }
}

/** The name is longer than a hash, so it is hashed (section 5.2); then the prologue and the pre-message. */
function startState({ crypto, prologue }: NoiseKind, serverKey: PublicKey): SymmetricState {
  const start = crypto.hash(PROTOCOL)
  const state = new SymmetricState(crypto, { chainingKey: start, hash: start })
  state.mixHash(new TextEncoder().encode(prologue))
  state.mixHash(serverKey)
  return state
}
