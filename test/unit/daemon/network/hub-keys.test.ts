import { describe, expect, it } from 'vitest'
import { HubKeys, type StoredHubKey } from '../../../../src/daemon/network/hub-keys.js'
import { formatKeyBase64, keyFromBytes, type PublicKey } from '../../../../src/wireguard/keys.js'
import { countingBytes } from '../../../support/hex.js'

const [A, B, C] = [1, 2, 3].map((n) => keyFromBytes<PublicKey>(countingBytes(32, n)))
if (A === undefined || B === undefined || C === undefined) throw new Error()
const text = formatKeyBase64

let nowMs = 0
let saved: StoredHubKey | undefined

function open(fileKey: PublicKey = A as PublicKey, stored = saved): HubKeys {
  const save = (value: StoredHubKey): void => {
    saved = value
  }
  return new HubKeys({ fileKey, stored, save, wallNowMs: () => nowMs })
}

describe('the key that a node knows its hub by', () => {
  it('is followed by the one that the hub names, and the old one counts until then', () => {
    nowMs = 0
    saved = undefined
    const keys = open()
    expect(keys.all).toEqual([A])
    expect(keys.learn({ key: text(B), untilS: 10 })).toBe(true)
    expect(keys.all).toEqual([B, A])
    expect(keys.learn({ key: text(B), untilS: 10 })).toBe(false)
    expect(open().all).toEqual([B, A])
    nowMs = 10_000
    expect(keys.all).toEqual([B])
    expect(open().all).toEqual([B])
    expect(keys.learn({ key: text(C), untilS: 20 })).toBe(true)
    expect(open().all).toEqual([C, B])
  })

  it('is that of the file again when somebody joined anew', () => {
    saved = { fileKey: text(A), key: text(B), previous: text(A), untilS: 0 }
    expect(open(C).all).toEqual([C])
  })

  it('stays if the new one cannot be written', () => {
    const save = (): never => {
      throw new Error('full')
    }
    const keys = new HubKeys({ fileKey: A, stored: undefined, save, wallNowMs: () => 0 })
    expect(() => keys.learn({ key: text(B), untilS: 10 })).toThrow('full')
    expect(keys.all).toEqual([A])
  })

  it('does not go back', () => {
    saved = { fileKey: text(A), key: text(B), previous: text(A), untilS: 10 }
    nowMs = 0
    const keys = open()
    expect(keys.learn({ key: text(A), untilS: 99 })).toBe(false)
    expect(keys.all).toEqual([B, A])
  })
})
