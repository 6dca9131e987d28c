import { describe, expect, test } from 'vitest'
import { REJECT_AFTER_MESSAGES, REKEY_AFTER_MESSAGES } from '../../../src/wireguard/constants.js'
import { nobleCrypto } from '../../../src/wireguard/crypto-noble.js'
import { isCounterRejected, Keypair, KeypairRotation } from '../../../src/wireguard/keypair.js'

const CREATED_MS = 5_000

function keypair(localIndex: number, isInitiator = true, firstCounter = 0n): Keypair {
  return new Keypair(nobleCrypto, {
    localIndex,
    remoteIndex: localIndex + 100,
    sendKey: new Uint8Array(32).fill(1),
    receiveKey: new Uint8Array(32).fill(2),
    isInitiator,
    createdAtMs: CREATED_MS,
    firstCounter,
  })
}

function indicesOf(keypairs: readonly Keypair[]): number[] {
  return keypairs.map(({ localIndex }) => localIndex)
}

function stateOf(rotation: KeypairRotation): (number | undefined)[] {
  return [rotation.previous, rotation.current, rotation.next].map((one) => one?.localIndex)
}

describe('keypair', () => {
  test('can send until it is 180 s old', () => {
    expect(keypair(1).canSend(CREATED_MS + 179_999)).toBe(true)
    expect(keypair(1).canSend(CREATED_MS + 180_000)).toBe(false)
  })

  test('counts through all 64 bits up to REJECT_AFTER_MESSAGES', () => {
    const near = keypair(1, true, REJECT_AFTER_MESSAGES - 1n)
    expect(near.canSend(CREATED_MS)).toBe(true)
    near.advanceCounter()
    expect(near.canSend(CREATED_MS)).toBe(false)
    const carrying = keypair(1, true, 0xffff_ffffn)
    carrying.advanceCounter()
    expect([carrying.sendHigh, carrying.sendLow]).toEqual([1, 0])
  })

  test('is due for renewal above REKEY_AFTER_MESSAGES, in either role', () => {
    for (const isInitiator of [true, false]) {
      expect(keypair(1, isInitiator, REKEY_AFTER_MESSAGES).isRenewalDueOnSend(CREATED_MS)).toBe(false)
      expect(keypair(1, isInitiator, REKEY_AFTER_MESSAGES + 1n).isRenewalDueOnSend(CREATED_MS)).toBe(true)
      expect(keypair(1, isInitiator, 1n << 61n).isRenewalDueOnSend(CREATED_MS)).toBe(true)
    }
  })

  test('refuses counters from REJECT_AFTER_MESSAGES on', () => {
    expect(isCounterRejected(0xffff_ffff, 0xffff_dffe)).toBe(false)
    expect(isCounterRejected(0xffff_ffff, 0xffff_dfff)).toBe(true)
    expect(isCounterRejected(0xffff_ffff, 0xffff_ffff)).toBe(true)
    expect(isCounterRejected(0xffff_fffe, 0xffff_ffff)).toBe(false)
  })
})

describe('keypair rotation', () => {
  test('as initiator: current moves to previous, previous falls out', () => {
    const rotation = new KeypairRotation()
    expect(rotation.install(keypair(1))).toEqual([])
    expect(rotation.install(keypair(2))).toEqual([])
    expect(stateOf(rotation)).toEqual([1, 2, undefined])
    expect(indicesOf(rotation.install(keypair(3)))).toEqual([1])
    expect(stateOf(rotation)).toEqual([2, 3, undefined])
  })

  test('as initiator with an unproven next: it becomes previous, previous and current fall out', () => {
    const rotation = new KeypairRotation()
    rotation.install(keypair(1))
    rotation.install(keypair(2, false))
    expect(stateOf(rotation)).toEqual([undefined, 1, 2])
    expect(indicesOf(rotation.install(keypair(3)))).toEqual([1])
    expect(stateOf(rotation)).toEqual([2, 3, undefined])
  })

  test('as responder: the new one waits as next, previous and the old next fall out', () => {
    const rotation = new KeypairRotation()
    rotation.install(keypair(1))
    rotation.install(keypair(2))
    expect(indicesOf(rotation.install(keypair(3, false)))).toEqual([1])
    expect(stateOf(rotation)).toEqual([undefined, 2, 3])
    expect(indicesOf(rotation.install(keypair(4, false)))).toEqual([3])
    expect(stateOf(rotation)).toEqual([undefined, 2, 4])
  })

  test('confirming moves all by one', () => {
    const rotation = new KeypairRotation()
    rotation.install(keypair(1))
    rotation.install(keypair(2, false))
    expect(rotation.confirmNext()).toEqual([])
    expect(stateOf(rotation)).toEqual([1, 2, undefined])
    rotation.install(keypair(3, false))
    expect(rotation.confirmNext()).toEqual([])
    expect(stateOf(rotation)).toEqual([2, 3, undefined])
  })

  test('clearing gives all', () => {
    const rotation = new KeypairRotation()
    for (const one of [keypair(1), keypair(2, false)]) rotation.install(one)
    expect(indicesOf(rotation.clear())).toEqual([1, 2])
    expect(stateOf(rotation)).toEqual([undefined, undefined, undefined])
  })

  test('what falls out is wiped, what stays is not', () => {
    const rotation = new KeypairRotation()
    const sendKeys = [1, 2].map((index) => {
      const sendKey = new Uint8Array(32).fill(index)
      const receiveKey = new Uint8Array(32).fill(index)
      const fields = { localIndex: index, remoteIndex: 0, isInitiator: false, createdAtMs: CREATED_MS }
      rotation.install(new Keypair(nobleCrypto, { ...fields, sendKey, receiveKey }))
      return sendKey
    })
    expect(sendKeys.map((key) => key[0])).toEqual([0, 2])
  })
})
