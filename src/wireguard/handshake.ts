/**
 * The handshake, Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s (paper sections 5.4.2 and 5.4.3): four
 * functions, each line under its formula from the paper.
 *
 * Letters: S static key, E ephemeral key, C chaining key, H hash, Q preshared key, κ a key used
 * once; subscripts i and r for initiator and responder. mac1 and mac2 are left zero: see cookie.ts.
 * INVARIANT: a function that gives undefined has changed nothing that its caller can see. States
 * stay usable until the caller wipes them with `wipeState`.
 */

import { wipe } from '../base/bytes.js'
import { KEY_BYTES, MAC_BYTES } from './constants.js'
import type { Crypto, DhPrivateKey, RandomBytes } from './crypto.js'
import { keyFromBytes, type PresharedKey, type PublicKey } from './keys.js'
import { encodeInitiation, encodeResponse, type Initiation, type Response } from './messages.js'
import { SymmetricState, type Transcript } from './symmetric-state.js'

/** Of an initiator that waits for the response. */
export interface InitiationState {
  readonly ephemeral: DhPrivateKey
  readonly transcript: Transcript
}

/** Of a responder that has authenticated an initiation and not answered yet. */
export interface InitiationReceivedState {
  readonly remoteStatic: PublicKey
  readonly remoteEphemeral: PublicKey
  /** The sender index of the initiation. */
  readonly remoteIndex: number
  readonly transcript: Transcript
}

export interface ConsumedInitiation {
  readonly remoteStatic: PublicKey
  /** TAI64N, 12 bytes. */
  readonly timestamp: Uint8Array
  readonly state: InitiationReceivedState
}

/** Named from the side that holds them. */
export interface TransportKeys {
  readonly sendKey: Uint8Array
  readonly receiveKey: Uint8Array
}

export interface InitiationParameters {
  readonly staticPrivate: DhPrivateKey
  readonly remoteStatic: PublicKey
  /** DH(static private, remote static), computed once per peer. */
  readonly staticStatic: Uint8Array
  readonly senderIndex: number
  /** TAI64N, 12 bytes. */
  readonly timestamp: Uint8Array
}

export interface ResponseParameters {
  readonly state: InitiationReceivedState
  /** All zero if there is none. */
  readonly presharedKey: PresharedKey | Uint8Array
  readonly senderIndex: number
}

export interface ResponseInput {
  readonly state: InitiationState
  /** All zero if there is none. */
  readonly presharedKey: PresharedKey | Uint8Array
  readonly response: Response
}

const INITIAL: Transcript = {
  // Hash("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
  chainingKey: Uint8Array.of(
    ...[0x60, 0xe2, 0x6d, 0xae, 0xf3, 0x27, 0xef, 0xc0, 0x2e, 0xc3, 0x35, 0xe2, 0xa0, 0x25, 0xd2, 0xd0],
    ...[0x16, 0xeb, 0x42, 0x06, 0xf8, 0x72, 0x77, 0xf5, 0x2d, 0x38, 0xd1, 0x98, 0x8b, 0x78, 0xcd, 0x36],
  ),
  // Hash(the above ‖ "WireGuard v1 zx2c4 Jason@zx2c4.com")
  hash: Uint8Array.of(
    ...[0x22, 0x11, 0xb3, 0x61, 0x08, 0x1a, 0xc5, 0x66, 0x69, 0x12, 0x43, 0xdb, 0x45, 0x8a, 0xd5, 0x32],
    ...[0x2d, 0x9c, 0x6c, 0x66, 0x22, 0x93, 0xe8, 0xb7, 0x0e, 0xe1, 0x9c, 0x65, 0xba, 0x07, 0x9e, 0xf3],
  ),
}
const NO_MAC = new Uint8Array(MAC_BYTES)
const EMPTY = new Uint8Array(0)

/** Undefined if the remote key is a point of low order. */
export function createInitiation(
  crypto: Crypto,
  random: RandomBytes,
  parameters: InitiationParameters,
): { readonly message: Uint8Array; readonly state: InitiationState } | undefined {
  const { staticPrivate, remoteStatic, staticStatic, senderIndex, timestamp } = parameters
  // (E_i^priv, E_i^pub) := DH-Generate()
  const ephemeral = generateKey(crypto, random)
  // DH(E_i^priv, S_r^pub)
  const ephemeralStatic = ephemeral.sharedSecret(remoteStatic)
  if (ephemeralStatic === undefined) return undefined
  // C_i := Hash(Construction); H_i := Hash(Hash(C_i ‖ Identifier) ‖ S_r^pub)
  const symmetric = initialState(crypto, remoteStatic)
  // C_i := Kdf1(C_i, E_i^pub); msg.ephemeral := E_i^pub
  symmetric.mixKey(ephemeral.publicKey)
  // H_i := Hash(H_i ‖ msg.ephemeral)
  symmetric.mixHash(ephemeral.publicKey)
  // (C_i, κ) := Kdf2(C_i, DH(E_i^priv, S_r^pub))
  const staticKey = symmetric.mixKeyAndDerive(ephemeralStatic)
  wipe(ephemeralStatic)
  // msg.static := Aead(κ, 0, S_i^pub, H_i); H_i := Hash(H_i ‖ msg.static)
  const sealedStatic = symmetric.seal(staticKey, staticPrivate.publicKey)
  // (C_i, κ) := Kdf2(C_i, DH(S_i^priv, S_r^pub))
  const timestampKey = symmetric.mixKeyAndDerive(staticStatic)
  // msg.timestamp := Aead(κ, 0, Timestamp(), H_i); H_i := Hash(H_i ‖ msg.timestamp)
  const sealedTimestamp = symmetric.seal(timestampKey, timestamp)
  const message = encodeInitiation({
    senderIndex,
    ephemeral: ephemeral.publicKey,
    sealedStatic,
    sealedTimestamp,
    mac1: NO_MAC,
    mac2: NO_MAC,
  })
  return { message, state: { ephemeral, transcript: symmetric.release() } }
}

/**
 * Undefined if anything about the initiation is not authentic or its sender unknown. The caller has
 * checked mac1, and still has to check that `timestamp` is later than the last one of this peer.
 */
export function consumeInitiation(
  crypto: Crypto,
  staticPrivate: DhPrivateKey,
  initiation: Initiation,
  findPeer: (remote: PublicKey) => { readonly staticStatic: Uint8Array } | undefined,
): ConsumedInitiation | undefined {
  const remoteEphemeral = keyFromBytes<PublicKey>(new Uint8Array(initiation.ephemeral))
  // DH(S_r^priv, E_i^pub)
  const staticEphemeral = staticPrivate.sharedSecret(remoteEphemeral)
  if (staticEphemeral === undefined) return undefined
  // C_r := Hash(Construction); H_r := Hash(Hash(C_r ‖ Identifier) ‖ S_r^pub)
  const symmetric = initialState(crypto, staticPrivate.publicKey)
  // C_r := Kdf1(C_r, E_i^pub)
  symmetric.mixKey(remoteEphemeral)
  // H_r := Hash(H_r ‖ msg.ephemeral)
  symmetric.mixHash(remoteEphemeral)
  // (C_r, κ) := Kdf2(C_r, DH(S_r^priv, E_i^pub))
  const staticKey = symmetric.mixKeyAndDerive(staticEphemeral)
  wipe(staticEphemeral)
  // msg.static = Aead(κ, 0, S_i^pub, H_r); H_r := Hash(H_r ‖ msg.static)
  const openedStatic = symmetric.open(staticKey, initiation.sealedStatic)
  const remoteStatic = openedStatic && keyFromBytes<PublicKey>(openedStatic)
  const peer = remoteStatic && findPeer(remoteStatic)
  if (remoteStatic === undefined || peer === undefined) {
    symmetric.wipe()
    return undefined
  }
  // (C_r, κ) := Kdf2(C_r, DH(S_r^priv, S_i^pub))
  const timestampKey = symmetric.mixKeyAndDerive(peer.staticStatic)
  // msg.timestamp = Aead(κ, 0, Timestamp(), H_r); H_r := Hash(H_r ‖ msg.timestamp)
  const timestamp = symmetric.open(timestampKey, initiation.sealedTimestamp)
  if (timestamp === undefined) {
    symmetric.wipe()
    return undefined
  }
  const remoteIndex = initiation.senderIndex
  const state = { remoteStatic, remoteEphemeral, remoteIndex, transcript: symmetric.release() }
  return { remoteStatic, timestamp, state }
}

/** Undefined if a key of the remote is a point of low order. */
export function createResponse(
  crypto: Crypto,
  random: RandomBytes,
  parameters: ResponseParameters,
): { readonly message: Uint8Array; readonly keys: TransportKeys } | undefined {
  const { state, presharedKey, senderIndex } = parameters
  // (E_r^priv, E_r^pub) := DH-Generate()
  const ephemeral = generateKey(crypto, random)
  // DH(E_r^priv, E_i^pub); DH(E_r^priv, S_i^pub)
  const ephemeralEphemeral = ephemeral.sharedSecret(state.remoteEphemeral)
  const ephemeralStatic = ephemeral.sharedSecret(state.remoteStatic)
  ephemeral.wipe()
  if (ephemeralEphemeral === undefined || ephemeralStatic === undefined) return undefined
  const symmetric = new SymmetricState(crypto, state.transcript)
  // C_r := Kdf1(C_r, E_r^pub); msg.ephemeral := E_r^pub
  symmetric.mixKey(ephemeral.publicKey)
  // H_r := Hash(H_r ‖ msg.ephemeral)
  symmetric.mixHash(ephemeral.publicKey)
  // C_r := Kdf1(C_r, DH(E_r^priv, E_i^pub))
  symmetric.mixKey(ephemeralEphemeral)
  // C_r := Kdf1(C_r, DH(E_r^priv, S_i^pub))
  symmetric.mixKey(ephemeralStatic)
  wipe(ephemeralEphemeral, ephemeralStatic)
  // (C_r, τ, κ) := Kdf3(C_r, Q); H_r := Hash(H_r ‖ τ)
  const emptyKey = symmetric.mixPresharedKey(presharedKey)
  // msg.empty := Aead(κ, 0, ε, H_r); H_r := Hash(H_r ‖ msg.empty)
  const sealedEmpty = symmetric.seal(emptyKey, EMPTY)
  // (T_i^send = T_r^recv, T_i^recv = T_r^send) := Kdf2(C_r, ε)
  const [receiveKey, sendKey] = symmetric.split()
  symmetric.wipe()
  const message = encodeResponse({
    senderIndex,
    receiverIndex: state.remoteIndex,
    ephemeral: ephemeral.publicKey,
    sealedEmpty,
    mac1: NO_MAC,
    mac2: NO_MAC,
  })
  return { message, keys: { sendKey, receiveKey } }
}

/** Undefined if the response is not the authentic answer to `state`, which then still waits for it. */
export function consumeResponse(
  crypto: Crypto,
  staticPrivate: DhPrivateKey,
  input: ResponseInput,
): TransportKeys | undefined {
  const { state, presharedKey, response } = input
  const remoteEphemeral = keyFromBytes<PublicKey>(response.ephemeral)
  // DH(E_i^priv, E_r^pub); DH(S_i^priv, E_r^pub)
  const ephemeralEphemeral = state.ephemeral.sharedSecret(remoteEphemeral)
  const staticEphemeral = staticPrivate.sharedSecret(remoteEphemeral)
  if (ephemeralEphemeral === undefined || staticEphemeral === undefined) return undefined
  const symmetric = new SymmetricState(crypto, state.transcript)
  // C_i := Kdf1(C_i, E_r^pub)
  symmetric.mixKey(remoteEphemeral)
  // H_i := Hash(H_i ‖ msg.ephemeral)
  symmetric.mixHash(remoteEphemeral)
  // C_i := Kdf1(C_i, DH(E_i^priv, E_r^pub))
  symmetric.mixKey(ephemeralEphemeral)
  // C_i := Kdf1(C_i, DH(S_i^priv, E_r^pub))
  symmetric.mixKey(staticEphemeral)
  wipe(ephemeralEphemeral, staticEphemeral)
  // (C_i, τ, κ) := Kdf3(C_i, Q); H_i := Hash(H_i ‖ τ)
  const emptyKey = symmetric.mixPresharedKey(presharedKey)
  // msg.empty = Aead(κ, 0, ε, H_i)
  const isAuthentic = symmetric.open(emptyKey, response.sealedEmpty) !== undefined
  // (T_i^send = T_r^recv, T_i^recv = T_r^send) := Kdf2(C_i, ε)
  const keys = isAuthentic ? symmetric.split() : undefined
  symmetric.wipe()
  return keys && { sendKey: keys[0], receiveKey: keys[1] }
}

/** To be called when a state is given up or has served. It cannot be used afterwards. */
export function wipeState(state: InitiationState | InitiationReceivedState): void {
  wipe(state.transcript.chainingKey, state.transcript.hash)
  if ('ephemeral' in state) state.ephemeral.wipe()
}

function initialState(crypto: Crypto, responderStatic: PublicKey): SymmetricState {
  const symmetric = new SymmetricState(crypto, INITIAL)
  symmetric.mixHash(responderStatic)
  return symmetric
}

function generateKey(crypto: Crypto, random: RandomBytes): DhPrivateKey {
  const seed = random(KEY_BYTES)
  const key = crypto.dhPrivateKey(seed)
  wipe(seed)
  return key
}
