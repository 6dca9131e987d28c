import { describe, expect, it } from 'vitest'
import { encodeBindingAnswer, encodeBindingRequest, isStun } from '../../../src/paths/stun.js'
import { tryUnveil, veil, veilAnswer } from '../../../src/paths/veil.js'
import { countingBytes } from '../../support/hex.js'
import { seededRandom } from '../../support/seeded-random.js'
import { endpoint } from '../../support/simulated-nat.js'

const COOKIE = '2112a442'
const random = seededRandom(5)
const request = encodeBindingRequest(countingBytes(12, 3))

describe('a veil', () => {
  it('hides the cookie of STUN, and looks like nothing else that shares the port', () => {
    const seen = new Set<string>()
    for (let i = 0; i < 100; i++) {
      const veiled = veil(request, random)
      expect(isStun(veiled)).toBe(false)
      expect(Buffer.from(veiled).toString('hex')).not.toContain(COOKIE)
      expect(veiled[0]).toBeGreaterThan(4) // no message of WireGuard
      expect(tryUnveil(veiled)).toEqual(request)
      seen.add(Buffer.from(veiled.subarray(8)).toString('hex'))
    }
    expect(seen.size).toBe(100)
  })

  it('of an answer is that of its question, and as long', () => {
    const question = veil(request, random)
    const mapped = endpoint('198.51.100.7', 4000)
    const answer = encodeBindingAnswer({ transactionId: countingBytes(12, 3), mapped })
    const veiled = veilAnswer(answer, question)
    expect(tryUnveil(veiled)).toEqual(answer)
    expect(veiled.length - answer.length).toBe(question.length - request.length)
  })

  it('over anything but STUN is none', () => {
    expect(tryUnveil(request)).toBeUndefined()
    expect(tryUnveil(veil(new Uint8Array(40), random))).toBeUndefined()
    expect(tryUnveil(veil(request, random).subarray(0, 8))).toBeUndefined()
    expect(tryUnveil(new Uint8Array(0))).toBeUndefined()
  })
})
