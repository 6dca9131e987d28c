import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concatBytes, formatHex } from '../../../src/base/bytes.js'
import { type DiscoMessage, discoTagOf, isDisco, MAX_CANDIDATES } from '../../../src/paths/disco.js'
import { DiscoPair } from '../../../src/paths/disco-pair.js'
import { isStun } from '../../../src/paths/stun.js'
import { nobleCrypto } from '../../../src/wireguard/crypto-noble.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { keyFromBytes, type PublicKey } from '../../../src/wireguard/keys.js'
import { countingBytes, hex } from '../../support/hex.js'
import { seededRandom } from '../../support/seeded-random.js'
import { endpoint } from '../../support/simulated-nat.js'

const KEYS = [nodeCrypto.dhPrivateKey(countingBytes(32, 1)), nodeCrypto.dhPrivateKey(countingBytes(32, 99))]
const [ALICE, BOB] = KEYS as [(typeof KEYS)[0], (typeof KEYS)[0]]
const TRANSACTION_ID = countingBytes(12, 1)
const PING: DiscoMessage = { kind: 'ping', transactionId: TRANSACTION_ID, sizeBytes: 0 }
const PONG: DiscoMessage = {
  kind: 'pong',
  transactionId: TRANSACTION_ID,
  observed: endpoint('203.0.113.1', 0x1234),
  run: 0xdeadbeef,
  received: 0x1234,
}
const CALL: DiscoMessage = {
  kind: 'call',
  timestamp: countingBytes(12, 64),
  mapping: 'addressAndPortDependent',
  isSequential: true,
  isLost: false,
  triesTcp: true,
  isSearching: false,
  ports: [5120, 5631],
  candidates: [
    { kind: 'local', endpoint: endpoint('192.168.1.2', 40_000) },
    { kind: 'reflexive', endpoint: endpoint('203.0.113.1', 5200) },
    { kind: 'mapped', endpoint: endpoint('203.0.113.1', 41_000) },
    { kind: 'tcp', endpoint: endpoint('2001:db8::7', 443) },
  ],
}

function pairOf(own = ALICE, remote = BOB, crypto = nodeCrypto): DiscoPair {
  const pair = DiscoPair.tryCreate(crypto, own, remote.publicKey)
  if (pair === undefined) throw new Error('no pair')
  return pair
}

/** By the table alone. */
function pairKey(): Uint8Array {
  const secret = BOB.sharedSecret(ALICE.publicKey) ?? new Uint8Array(0)
  const label = new TextEncoder().encode('overlay disco v1')
  return nobleCrypto.hmac(nobleCrypto.hmac(label, secret), Uint8Array.of(1))
}

/** A datagram from Alice to Bob that is authentic, whatever it says. */
function sealed(plain: Uint8Array): Uint8Array {
  const head = pairOf().seal(PING, random()).slice(0, 36)
  return concatBytes(head, nobleCrypto.xseal(pairKey(), head.slice(12), plain, head.slice(0, 12)))
}

const random = (): ReturnType<typeof seededRandom> => seededRandom(3)

describe('a disco message', () => {
  it.each([PONG, CALL])('arrives as it was sent: $kind', (message) => {
    const datagram = pairOf().seal(message, random())
    expect(pairOf(BOB, ALICE).open(datagram)).toEqual(message)
  })

  it('names its sender to its receiver, and to nobody else', () => {
    const fromAlice = pairOf().seal(PING, random())
    const fromBob = pairOf(BOB, ALICE).seal(PING, random())
    expect(isDisco(fromAlice)).toBe(true)
    expect(isStun(fromAlice)).toBe(false)
    expect(discoTagOf(fromAlice)).toBe(pairOf(BOB, ALICE).remoteTags[0])
    expect(discoTagOf(fromBob)).toBe(pairOf().remoteTags[0])
    expect(discoTagOf(fromAlice)).not.toBe(discoTagOf(fromBob))
    expect(formatHex(fromAlice)).not.toContain(formatHex(ALICE.publicKey).slice(0, 16))
  })

  it('is what the table says, byte for byte', () => {
    const datagram = pairOf().seal(PONG, (length) => countingBytes(length, 7))
    const key = pairKey()
    const tag = nobleCrypto.mac(key, ALICE.publicKey).subarray(0, 8)
    expect(formatHex(datagram.subarray(0, 36))).toBe(
      `6f766c01${formatHex(tag)}${formatHex(countingBytes(24, 7))}`,
    )
    const plain = nobleCrypto.xopen(key, countingBytes(24, 7), datagram.slice(36), datagram.slice(0, 12))
    expect(plain).toEqual(
      hex('02 0102030405060708090a0b0c 00000000000000000000ffff cb007101 1234 deadbeef 00001234'),
    )
  })

  it('is padded to a wanted size, and a ping never shorter than its pong', () => {
    const pong = pairOf().seal(PONG, random())
    for (const sizeBytes of [0, 60, 1280, 1420]) {
      const ping = pairOf().seal({ ...PING, sizeBytes }, random())
      expect(ping.length).toBe(Math.max(pong.length, sizeBytes))
      expect(pairOf(BOB, ALICE).open(ping)).toEqual({ ...PING, sizeBytes: ping.length })
    }
  })

  it('is not opened if a single bit of it changed', () => {
    const datagram = pairOf().seal(PONG, random())
    const bob = pairOf(BOB, ALICE)
    for (let at = 0; at < datagram.length; at++) {
      const damaged = datagram.slice()
      damaged[at] = (damaged[at] as number) ^ 1
      expect(bob.open(damaged), `byte ${at}`).toBeUndefined()
    }
  })

  it('is not opened by a third party, and not by its own sender', () => {
    const eve = nodeCrypto.dhPrivateKey(countingBytes(32, 200))
    const datagram = pairOf().seal(PING, random())
    expect(pairOf(eve, ALICE).open(datagram)).toBeUndefined()
    expect(discoTagOf(datagram)).not.toBe(pairOf().remoteTags[0])
  })

  it('may say more in later versions, and is read as far as it is known', () => {
    const longer = hex(
      '02 0102030405060708090a0b0c 00000000000000000000ffff cb007101 1234 deadbeef 00001234 ffffff',
    )
    expect(pairOf(BOB, ALICE).open(sealed(longer))).toEqual(PONG)
    const call =
      '03 404142434445464748494a4b 02 0000 0000 02 ff 00000000000000000000ffff cb007101 1234 00 00000000000000000000ffff cb007102 0009'
    expect(pairOf(BOB, ALICE).open(sealed(hex(call)))).toEqual({
      kind: 'call',
      timestamp: countingBytes(12, 64),
      mapping: 'endpointIndependent',
      isSequential: false,
      isLost: false,
      triesTcp: false,
      isSearching: false,
      ports: [0, 0],
      candidates: [{ kind: 'local', endpoint: endpoint('203.0.113.2', 9) }],
    })
  })

  it('brings no more candidates than its receiver may have to try', () => {
    const candidate = { kind: 'local' as const, endpoint: endpoint('192.0.2.1', 9) }
    const call: DiscoMessage = { ...CALL, candidates: Array.from({ length: 200 }, () => candidate) }
    const opened = pairOf(BOB, ALICE).open(pairOf().seal(call, random()))
    expect(opened?.kind === 'call' && opened.candidates.length).toBe(MAX_CANDIDATES)
  })

  it('is the same with both providers of cryptography', () => {
    const own = nobleCrypto.dhPrivateKey(countingBytes(32, 1))
    expect(pairOf(own, BOB, nobleCrypto).seal(CALL, random())).toEqual(pairOf().seal(CALL, random()))
  })

  it('cannot be made with a key of low order', () => {
    const low = keyFromBytes<PublicKey>(new Uint8Array(32))
    expect(DiscoPair.tryCreate(nodeCrypto, ALICE, low)).toBeUndefined()
  })

  it('is nothing, whatever is authentic but not understood', () => {
    const bob = pairOf(BOB, ALICE)
    const unknown = [
      '',
      '00',
      '04 00',
      '01 0102030405060708090a0b0c',
      '02 0102',
      '03 00',
      `03 02 0000 0000 21`,
    ]
    for (const text of unknown) expect(bob.open(sealed(hex(text))), text).toBeUndefined()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (plain) => {
        const message = bob.open(sealed(plain))
        return message === undefined || [1, 2, 3].includes(plain[0] as number)
      }),
    )
  })

  it('is not seen in what is too short', () => {
    expect(isDisco(hex('6f766c01'))).toBe(false)
    expect(isDisco(new Uint8Array(0))).toBe(false)
  })
})
