import { describe, expect, it } from 'vitest'
import {
  NoiseInitiator,
  type NoiseKind,
  type NoiseSession,
  respondNoise,
} from '../../../src/control/noise-nk.js'
import type { Crypto } from '../../../src/wireguard/crypto.js'
import { nobleCrypto } from '../../../src/wireguard/crypto-noble.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { keyFromBytes, type PublicKey } from '../../../src/wireguard/keys.js'
import { countingBytes } from '../../support/hex.js'
import { seededRandom } from '../../support/seeded-random.js'

const HUB = nobleCrypto.dhPrivateKey(countingBytes(32, 5))
const HELLO = new TextEncoder().encode('hello')

function kindOf(
  crypto: Crypto,
  seed: number,
  prologue: NoiseKind['prologue'] = 'overlay control v1',
): NoiseKind {
  return { crypto, random: seededRandom(seed), prologue }
}

function connect(node: Crypto = nobleCrypto, hub: Crypto = nobleCrypto): [NoiseSession, NoiseSession] {
  const initiator = NoiseInitiator.tryCreate(kindOf(node, 1), HUB.publicKey)
  const response = initiator && respondNoise(kindOf(hub, 2), HUB, initiator.message)
  const session = response && initiator?.finish(response.answer)
  if (session === undefined || response === undefined) throw new Error('no session')
  return [session, response.session]
}

describe('a session', () => {
  it('is the same on both sides, and with either provider', () => {
    for (const [node, hub] of [
      [nobleCrypto, nobleCrypto],
      [nodeCrypto, nobleCrypto],
      [nobleCrypto, nodeCrypto],
    ] as const) {
      const [a, b] = connect(node, hub)
      expect(a.handshakeHash).toEqual(b.handshakeHash)
      for (let i = 0; i < 3; i++) {
        expect(b.open(a.seal(HELLO))).toEqual(HELLO)
        expect(a.open(b.seal(HELLO))).toEqual(HELLO)
      }
    }
  })

  it('opens a message once, in order, and unchanged', () => {
    const [a, b] = connect()
    const [first, second] = [a.seal(HELLO), a.seal(HELLO)]
    expect(b.open(second)).toBeUndefined()
    expect(b.open(first)).toEqual(HELLO)
    expect(b.open(first)).toBeUndefined()
    const damaged = second.slice()
    damaged[0] = (damaged[0] as number) ^ 1
    expect(b.open(damaged)).toBeUndefined()
    expect(b.open(second)).toEqual(HELLO)
    expect(b.open(new Uint8Array(3))).toBeUndefined()
    expect(a.open(a.seal(HELLO))).toBeUndefined()
  })

  it('of one kind is none of another', () => {
    const initiator = NoiseInitiator.tryCreate(kindOf(nobleCrypto, 1), HUB.publicKey)
    const other = kindOf(nobleCrypto, 2, 'overlay relay v1')
    expect(initiator && respondNoise(other, HUB, initiator.message)).toBeUndefined()
  })

  it('goes on behind a message that was passed over', () => {
    const [a, b] = connect()
    a.seal(HELLO)
    b.skip()
    expect(b.open(a.seal(HELLO))).toEqual(HELLO)
  })

  it('does not come about with whoever lacks the key of the hub', () => {
    const other = nobleCrypto.dhPrivateKey(countingBytes(32, 6))
    const initiator = NoiseInitiator.tryCreate(kindOf(nobleCrypto, 1), HUB.publicKey)
    if (initiator === undefined) throw new Error('no initiator')
    expect(respondNoise(kindOf(nobleCrypto, 2), other, initiator.message)).toBeUndefined()
    const forOther = NoiseInitiator.tryCreate(kindOf(nobleCrypto, 1), other.publicKey)
    const answer = forOther && respondNoise(kindOf(nobleCrypto, 2), other, forOther.message)?.answer
    expect(answer).toBeDefined()
    expect(initiator.finish(answer ?? new Uint8Array(0))).toBeUndefined()
  })

  it('does not come about with messages of another length, or keys of low order', () => {
    expect(respondNoise(kindOf(nobleCrypto, 2), HUB, new Uint8Array(47))).toBeUndefined()
    expect(respondNoise(kindOf(nobleCrypto, 2), HUB, new Uint8Array(48))).toBeUndefined()
    const zero = keyFromBytes<PublicKey>(new Uint8Array(32))
    expect(NoiseInitiator.tryCreate(kindOf(nobleCrypto, 1), zero)).toBeUndefined()
    const initiator = NoiseInitiator.tryCreate(kindOf(nobleCrypto, 1), HUB.publicKey)
    expect(initiator?.finish(new Uint8Array(48))).toBeUndefined()
    expect(initiator?.finish(new Uint8Array(0))).toBeUndefined()
  })
})
