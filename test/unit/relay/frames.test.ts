import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameReader } from '../../../src/relay/frame-reader.js'
import {
  decodeFrame,
  encodeBatch,
  encodeObserved,
  encodePeerGone,
  encodePing,
  encodePong,
  encodeSend,
  encodeStatus,
  frameDirectInPlace,
  IDENTITY_BYTES,
  type RawFrame,
  readdress,
  recipientOf,
} from '../../../src/relay/frames.js'
import { countingBytes, hex } from '../../support/hex.js'
import { endpoint } from '../../support/simulated-nat.js'

const ALICE = countingBytes(IDENTITY_BYTES, 1)
const BOB = countingBytes(IDENTITY_BYTES, 101)
const MESSAGE = hex('04000000 a1a2a3a4')

function raw(bytes: Uint8Array): RawFrame {
  return { type: bytes[0] as number, bytes }
}

/** All frames of a stream that comes in chunks; copies. */
function readAll(chunks: readonly Uint8Array[]): RawFrame[] {
  const reader = new FrameReader()
  const frames: RawFrame[] = []
  for (const chunk of chunks) {
    reader.push(chunk, ({ type, bytes }) => frames.push({ type, bytes: bytes.slice() }))
  }
  return frames
}

const identity = fc.uint8Array({ minLength: IDENTITY_BYTES, maxLength: IDENTITY_BYTES })
const message = fc.uint8Array({ minLength: 1, maxLength: 1500 })

describe('a relay frame', () => {
  it.each([
    ['ping', encodePing(hex('aabb')), '04 0002 aabb'],
    ['pong', encodePong(hex('aabb')), '05 0002 aabb'],
    ['status', encodeStatus('restarting', 5000), '07 0005 02 00001388'],
    [
      'observed',
      encodeObserved(endpoint('203.0.113.1', 443)),
      '08 0012 00000000000000000000ffff cb007101 01bb',
    ],
  ])('%s is what the table says', (_, bytes, expected) => {
    expect(bytes).toEqual(hex(expected))
  })

  it('direct is put before its messages, and read again', () => {
    const frame = new Uint8Array(64 + MESSAGE.length)
    frame.set(MESSAGE, 64)
    const bytes = frameDirectInPlace(frame, 64, 4)
    expect(bytes).toEqual(hex('0e 000a 0004 04000000 a1a2a3a4'))
    expect(decodeFrame(raw(bytes))).toEqual({ kind: 'direct', segmentBytes: 4, messages: MESSAGE })
    expect(decodeFrame(raw(hex('0e 0003 0000 01')))).toBeUndefined()
    expect(decodeFrame(raw(hex('0e 0002 0004')))).toBeUndefined()
  })

  it('send and batch are what the table says', () => {
    expect(encodeSend(BOB, MESSAGE).subarray(0, 3)).toEqual(hex('01 0028'))
    expect(encodeSend(BOB, MESSAGE).subarray(3, 35)).toEqual(BOB)
    expect(encodeSend(BOB, MESSAGE).subarray(35)).toEqual(MESSAGE)
    expect(encodeBatch(BOB, 4, MESSAGE).subarray(0, 3)).toEqual(hex('03 002a'))
    expect(encodeBatch(BOB, 4, MESSAGE).subarray(35)).toEqual(hex('0004 04000000 a1a2a3a4'))
  })

  it.each([
    ['observed', encodeObserved(endpoint('2001:db8::7', 443)), endpoint('2001:db8::7', 443)],
    ['observed v4', encodeObserved(endpoint('192.0.2.7', 1)), endpoint('192.0.2.7', 1)],
  ])('%s comes back', (_, bytes, expected) => {
    expect(decodeFrame(raw(bytes))).toEqual({ kind: 'observed', endpoint: expected })
  })

  it('tells that a peer is gone, and how the relay is', () => {
    expect(decodeFrame(raw(encodePeerGone(BOB, 'left')))).toEqual({
      kind: 'peerGone',
      identity: BOB,
      reason: 'left',
    })
    expect(decodeFrame(raw(encodeStatus('rateLimited', 250)))).toEqual({
      kind: 'status',
      state: 'rateLimited',
      delayMs: 250,
    })
  })

  it('is forwarded in place: its receiver learns who sent it, and nothing else changes', () => {
    fc.assert(
      fc.property(identity, identity, message, fc.boolean(), (from, to, bytes, isBatch) => {
        const frame = raw(isBatch ? encodeBatch(to, 100, bytes) : encodeSend(to, bytes))
        expect(recipientOf(frame)).toEqual(to)
        readdress(frame, from)
        expect(decodeFrame(raw(frame.bytes))).toEqual({
          kind: 'messages',
          identity: from,
          segmentBytes: isBatch ? 100 : bytes.length,
          messages: bytes,
        })
      }),
    )
  })

  it('has no recipient where it brings no message', () => {
    expect(recipientOf(raw(encodeSend(BOB, new Uint8Array(0))))).toBeUndefined()
    expect(recipientOf(raw(encodeBatch(BOB, 4, new Uint8Array(0))))).toBeUndefined()
    expect(recipientOf(raw(encodePing(countingBytes(60))))).toBeUndefined()
    expect(recipientOf(raw(hex('02 0002 0102')))).toBeUndefined()
  })

  it('holds no more than its length can say', () => {
    expect(() => encodeSend(BOB, new Uint8Array(65_504))).toThrow(RangeError)
    expect(encodeSend(BOB, new Uint8Array(65_503)).length).toBe(65_538)
  })

  it.each([
    ['of no known type', '09 0000'],
    ['a message without one', `02 0020 ${'00'.repeat(32)}`],
    ['a batch of nothing', `03 0022 ${'00'.repeat(32)} 0001`],
    ['a batch of empty segments', `03 0023 ${'00'.repeat(32)} 0000 01`],
    ['a ping that is too long', `04 0041 ${'00'.repeat(65)}`],
    ['an unknown state', '07 0005 09 00000000'],
    ['a status cut short', '07 0001 00'],
    ['an endpoint cut short', '08 0002 0000'],
    ['an endpoint without a port', `08 0012 ${'00'.repeat(18)}`],
    ['a farewell without a reason', `06 0020 ${'00'.repeat(32)}`],
  ])('is nothing if it is %s', (_, text) => {
    expect(decodeFrame(raw(hex(text)))).toBeUndefined()
  })
})

describe('a stream of frames', () => {
  it('is cut right, however it comes', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 8 }), fc.array(fc.nat(4000)), (messages, cuts) => {
        const frames = messages.map((bytes) => encodeSend(ALICE, bytes))
        const stream = new Uint8Array(frames.reduce((sum, { length }) => sum + length, 0))
        let at = 0
        for (const frame of frames) {
          stream.set(frame, at)
          at += frame.length
        }
        const points = [0, ...cuts.map((cut) => Math.min(cut, stream.length)), stream.length].sort(
          (a, b) => a - b,
        )
        const chunks = points.slice(1).map((end, i) => stream.slice(points[i], end))
        expect(readAll(chunks).map(({ bytes }) => bytes)).toEqual(frames)
      }),
    )
  })

  it('gives frames byte by byte too', () => {
    const frames = [encodePing(hex('01')), encodeSend(BOB, MESSAGE), encodePong(new Uint8Array(0))]
    const bytes = frames.flatMap((frame) => [...frame].map((byte) => Uint8Array.of(byte)))
    expect(readAll(bytes).map((frame) => frame.bytes)).toEqual(frames)
  })

  it('never gives what is not whole', () => {
    expect(readAll([encodeSend(BOB, MESSAGE).subarray(0, -1)])).toEqual([])
    expect(readAll([hex('01'), hex('ff')])).toEqual([])
  })
})
