import { describe, expect, it } from 'vitest'
import { answerStun } from '../../../src/hub/stun-answer.js'
import {
  decodeStun,
  encodeBindingAnswer,
  encodeBindingRequest,
  encodeResponsePortRequest,
  mappedEndpoint,
  otherEndpoint,
} from '../../../src/paths/stun.js'
import { countingBytes, hex } from '../../support/hex.js'
import { endpoint } from '../../support/simulated-nat.js'

const ID = countingBytes(12)
const FROM = endpoint('203.0.113.5', 40_000)
const [MAIN, SECOND, THIRD, FOURTH] = [
  endpoint('198.51.100.1', 3478),
  endpoint('198.51.100.1', 3479),
  endpoint('198.51.100.2', 3478),
  endpoint('198.51.100.2', 3479),
]
const CORNERS = [MAIN, SECOND, THIRD, FOURTH]

describe('an answer', () => {
  it('goes back from where it was asked, and says where else the server is', () => {
    const answer = answerStun(encodeBindingRequest(ID), FROM, MAIN, CORNERS)
    const message = decodeStun(answer?.bytes ?? new Uint8Array(0))
    expect([answer?.source, answer?.to]).toEqual([MAIN, FROM])
    expect(message && [mappedEndpoint(message), otherEndpoint(message)]).toEqual([FROM, FOURTH])
  })

  it('comes from another corner if that is asked for, and there is one', () => {
    const request = encodeBindingRequest(ID, { address: true, port: true })
    expect(answerStun(request, FROM, MAIN, CORNERS)?.source).toEqual(FOURTH)
    expect(answerStun(request, FROM, MAIN, [MAIN, SECOND])).toBeUndefined()
  })

  it('goes to another port of the same address, and is not longer than the question', () => {
    for (const from of [FROM, endpoint('2001:db8::5', 40_000)]) {
      const request = encodeResponsePortRequest(ID, 50_123)
      const answer = answerStun(request, from, MAIN, CORNERS)
      expect([answer?.source, answer?.to]).toEqual([MAIN, { ...from, port: 50_123 }])
      expect(answer?.bytes.length).toBeLessThanOrEqual(request.length)
      const message = decodeStun(answer?.bytes ?? new Uint8Array(0))
      expect(message && mappedEndpoint(message)).toEqual(from)
    }
  })

  it.each([
    ['is asked to a port where servers are', encodeResponsePortRequest(ID, 53)],
    ['is asked to port 0', encodeResponsePortRequest(ID, 0)],
    ['would be longer than the question', hex(`0001 0008 2112a442 ${'00'.repeat(12)} 0027 0004 c3cb 0000`)],
    ['is asked to a port that is none', hex(`0001 0024 2112a442 ${'00'.repeat(44)} 0027 0000`)],
    ['would answer an answer', encodeBindingAnswer({ transactionId: ID, mapped: FROM })],
    ['would answer nothing', new Uint8Array(20)],
  ])('does not come where it %s', (_what, bytes) => {
    expect(answerStun(bytes, FROM, MAIN, CORNERS)).toBeUndefined()
  })
})
