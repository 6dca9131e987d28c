import { describe, expect, it } from 'vitest'
import type { Crypto } from '../../../src/wireguard/crypto.js'
import { nobleCrypto } from '../../../src/wireguard/crypto-noble.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import {
  consumeInitiation,
  createInitiation,
  createResponse,
  wipeState,
} from '../../../src/wireguard/handshake.js'
import { keyFromBytes, type PublicKey } from '../../../src/wireguard/keys.js'
import { decodeInitiation } from '../../../src/wireguard/messages.js'
import { expectDefined, HandshakePair } from '../../support/handshake-pair.js'
import { seededRandom } from '../../support/seeded-random.js'

const TIMESTAMP = Uint8Array.from({ length: 12 }, (_, i) => 0x40 + i)

function pairOf(initiatorCrypto: Crypto, responderCrypto: Crypto, seed = 1): HandshakePair {
  const random = seededRandom(seed)
  return new HandshakePair(initiatorCrypto, responderCrypto, {
    random,
    initiator: random(32),
    responder: random(32),
    presharedKey: random(32),
    timestamp: TIMESTAMP,
  })
}

/** Every message with one bit of bytes [from, to) flipped, with the position of the bit. */
function* bitFlips(message: Uint8Array, from: number, to: number): Generator<[string, Uint8Array]> {
  for (let bit = 8 * from; bit < 8 * to; bit++) {
    const flipped = new Uint8Array(message)
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
    yield [`byte ${bit >> 3}, bit ${bit & 7}`, flipped]
  }
}

const PROVIDERS: readonly [Crypto, Crypto][] = [
  [nobleCrypto, nobleCrypto],
  [nodeCrypto, nodeCrypto],
  [nobleCrypto, nodeCrypto],
  [nodeCrypto, nobleCrypto],
]

describe.each(PROVIDERS)('handshake from $name to $name', (initiatorCrypto, responderCrypto) => {
  it('gives both sides the same keys, crossed', () => {
    const pair = pairOf(initiatorCrypto, responderCrypto)
    const initiation = pair.createInitiation()
    const received = expectDefined(pair.consumeInitiation(initiation.message))
    expect(received.remoteStatic).toEqual(pair.initiator.publicKey)
    expect(received.timestamp).toEqual(TIMESTAMP)
    const response = pair.createResponse(received.state)
    const keys = expectDefined(pair.consumeResponse(initiation.state, response.message))
    expect(keys.sendKey).toEqual(response.keys.receiveKey)
    expect(keys.receiveKey).toEqual(response.keys.sendKey)
    expect(keys.sendKey).not.toEqual(keys.receiveKey)
  })
})

describe('an initiation', () => {
  it('is refused with any single bit of its authenticated fields flipped', () => {
    const pair = pairOf(nodeCrypto, nodeCrypto)
    const { message } = pair.createInitiation()
    for (const [place, flipped] of bitFlips(message, 8, 116)) {
      // X25519 ignores the top bit of a key, but the hash does not.
      expect(pair.consumeInitiation(flipped), place).toBeUndefined()
    }
    expect(pair.consumeInitiation(message)).toBeDefined()
  })

  it('does not reach the peer lookup if the static key is not authentic', () => {
    const pair = pairOf(nodeCrypto, nodeCrypto)
    const { message } = pair.createInitiation()
    message[50] = (message[50] as number) ^ 1
    const initiation = expectDefined(decodeInitiation(message))
    const result = consumeInitiation(nodeCrypto, pair.responder, initiation, () => {
      throw new Error('looked up')
    })
    expect(result).toBeUndefined()
  })

  it('is refused if no peer has its static key', () => {
    const pair = pairOf(nodeCrypto, nodeCrypto)
    const initiation = expectDefined(decodeInitiation(pair.createInitiation().message))
    expect(consumeInitiation(nodeCrypto, pair.responder, initiation, () => undefined)).toBeUndefined()
  })

  it('is refused by anyone but its addressee', () => {
    const { message } = pairOf(nodeCrypto, nodeCrypto, 1).createInitiation()
    expect(pairOf(nodeCrypto, nodeCrypto, 2).consumeInitiation(message)).toBeUndefined()
  })

  it('with an ephemeral key of low order is refused', () => {
    const pair = pairOf(nobleCrypto, nodeCrypto)
    const { message } = pair.createInitiation()
    message.fill(0, 8, 40)
    expect(pair.consumeInitiation(message)).toBeUndefined()
  })

  it('is not created for a peer whose key is of low order', () => {
    const random = seededRandom(3)
    const staticPrivate = nodeCrypto.dhPrivateKey(random(32))
    const parameters = {
      staticPrivate,
      remoteStatic: keyFromBytes<PublicKey>(new Uint8Array(32)),
      staticStatic: new Uint8Array(32),
      senderIndex: 1,
      timestamp: TIMESTAMP,
    }
    expect(createInitiation(nodeCrypto, random, parameters)).toBeUndefined()
  })

  it('leaves the macs to the cookie jar', () => {
    const { message } = pairOf(nodeCrypto, nodeCrypto).createInitiation()
    expect(message.subarray(116)).toEqual(new Uint8Array(32))
  })

  it('does not tie the state to the datagram it came in', () => {
    const pair = pairOf(nodeCrypto, nodeCrypto)
    const initiation = pair.createInitiation()
    const datagram = Buffer.from(initiation.message)
    const received = expectDefined(pair.consumeInitiation(datagram))
    datagram.fill(0xff)
    const response = pair.createResponse(received.state)
    expect(pair.consumeResponse(initiation.state, response.message)).toBeDefined()
  })
})

describe('a response', () => {
  it('is refused with any single bit of its authenticated fields flipped, and the state survives', () => {
    const pair = pairOf(nodeCrypto, nodeCrypto)
    const initiation = pair.createInitiation()
    const received = expectDefined(pair.consumeInitiation(initiation.message))
    const { message, keys } = pair.createResponse(received.state)
    const before = structuredClone(initiation.state.transcript)
    const ephemeralBefore = new Uint8Array(initiation.state.ephemeral.bytes)
    for (const [place, flipped] of bitFlips(message, 12, 60)) {
      expect(pair.consumeResponse(initiation.state, flipped), place).toBeUndefined()
    }
    expect(initiation.state.transcript).toEqual(before)
    expect(initiation.state.ephemeral.bytes).toEqual(ephemeralBefore)
    expect(pair.consumeResponse(initiation.state, message)?.sendKey).toEqual(keys.receiveKey)
  })

  it('is refused under another preshared key', () => {
    const [one, other] = [pairOf(nodeCrypto, nodeCrypto), pairOf(nodeCrypto, nodeCrypto)]
    const initiation = one.createInitiation()
    const received = expectDefined(other.consumeInitiation(initiation.message))
    const parameters = { state: received.state, presharedKey: new Uint8Array(32), senderIndex: 7 }
    const response = expectDefined(createResponse(nodeCrypto, seededRandom(9), parameters))
    expect(one.consumeResponse(initiation.state, response.message)).toBeUndefined()
  })

  it('to another initiation of the same peer is refused', () => {
    const pair = pairOf(nodeCrypto, nodeCrypto)
    const [first, second] = [pair.createInitiation(), pair.createInitiation()]
    const received = expectDefined(pair.consumeInitiation(first.message))
    const { message } = pair.createResponse(received.state)
    expect(pair.consumeResponse(second.state, message)).toBeUndefined()
    expect(pair.consumeResponse(first.state, message)).toBeDefined()
  })

  it('leaves the state it answers unchanged, so that a refused send can be repeated', () => {
    const pair = pairOf(nodeCrypto, nodeCrypto)
    const received = expectDefined(pair.consumeInitiation(pair.createInitiation().message))
    const before = structuredClone(received.state)
    pair.createResponse(received.state)
    expect(received.state).toEqual(before)
  })
})

describe('wipeState', () => {
  it('zeroes the secrets of both kinds of state', () => {
    const pair = pairOf(nodeCrypto, nodeCrypto)
    const sent = pair.createInitiation().state
    const received = expectDefined(pair.consumeInitiation(pair.createInitiation().message)).state
    wipeState(sent)
    wipeState(received)
    const secrets = [sent.transcript.chainingKey, sent.transcript.hash, sent.ephemeral.bytes]
    secrets.push(received.transcript.chainingKey, received.transcript.hash)
    for (const secret of secrets) expect(secret).toEqual(new Uint8Array(32))
  })

  it('leaves a state that answers to nothing', () => {
    const pair = pairOf(nodeCrypto, nodeCrypto)
    const { message, state } = pair.createInitiation()
    const response = pair.createResponse(expectDefined(pair.consumeInitiation(message)).state)
    wipeState(state)
    expect(pair.consumeResponse(state, response.message)).toBeUndefined()
  })
})
