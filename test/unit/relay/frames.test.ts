import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concatBytes } from '../../../src/base/bytes.js'
import { MAGIC } from '../../../src/paths/disco-key.js'
import { FrameReader } from '../../../src/relay/frame-reader.js'
import {
  decodeDirect,
  decodeTrain,
  encodeFrame,
  FRAME,
  frameDirectInPlace,
  frameInPlace,
  type RawFrame,
  setNumber,
} from '../../../src/relay/frames.js'
import {
  decodeSessionFrame,
  encodeSessionFrame,
  isControlMessage,
  type SessionFrame,
} from '../../../src/relay/session-frames.js'
import { countingBytes, hex } from '../../support/hex.js'
import { dataMessage, initiation } from '../../support/relay-world.js'
import { endpoint } from '../../support/simulated-nat.js'

const HEADROOM = 64
const ALICE = countingBytes(32, 1)
const DATA = dataMessage(0xaa, 32)

function raw(bytes: Uint8Array): RawFrame {
  return { type: bytes[0] as number, bytes }
}

function behindHeadroom(messages: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADROOM + messages.length)
  frame.set(messages, HEADROOM)
  return frame
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

describe('a frame', () => {
  it('of data is what the table says, and is forwarded by changing its number', () => {
    const bytes = frameInPlace(behindHeadroom(DATA), HEADROOM, { number: 0x01020304, segmentBytes: 32 })
    expect(bytes).toEqual(concatBytes(hex('01 0024 01020304'), DATA))
    expect(decodeTrain(raw(bytes))).toEqual({ number: 0x01020304, segmentBytes: 32, messages: DATA })
    setNumber(bytes, 0xfffefdfc)
    expect(decodeTrain(raw(bytes))).toEqual({ number: 0xfffefdfc, segmentBytes: 32, messages: DATA })
  })

  it('of a batch is what the table says', () => {
    const messages = concatBytes(DATA, DATA, DATA)
    const bytes = frameInPlace(behindHeadroom(messages), HEADROOM, { number: 7, segmentBytes: 32 })
    expect(bytes).toEqual(concatBytes(hex('03 0066 00000007 0020'), messages))
    expect(decodeTrain(raw(bytes))).toEqual({ number: 7, segmentBytes: 32, messages })
  })

  it.each([
    ['a handshake', concatBytes(hex('01 0098 00000007'), initiation(1))],
    ['what is too short', concatBytes(hex('01 0023 00000007'), DATA.subarray(0, 31))],
    ['nothing', hex('01 0004 00000007')],
    ['half a number', hex('01 0002 0000')],
    ['segments that are too short', concatBytes(hex('03 0026 00000007 001f'), DATA)],
    ['segments of nothing', concatBytes(hex('03 0026 00000007 0000'), DATA)],
    ['a handshake behind data', concatBytes(hex('03 00ba 00000007 0020'), DATA, initiation(1))],
    ['a train that ends too early', concatBytes(hex('03 0027 00000007 0020'), DATA, hex('04'))],
  ])('in the clear never holds %s', (_, bytes) => {
    expect(decodeTrain(raw(bytes))).toBeUndefined()
  })

  it('direct is put before its messages, and read again', () => {
    const messages = hex('04000000 a1a2a3a4')
    const bytes = frameDirectInPlace(behindHeadroom(messages), HEADROOM, 4)
    expect(bytes).toEqual(hex('0e 000a 0004 04000000 a1a2a3a4'))
    expect(decodeDirect(raw(bytes))).toEqual({ segmentBytes: 4, messages })
    expect(decodeDirect(raw(hex('0e 0003 0000 01')))).toBeUndefined()
    expect(decodeDirect(raw(hex('0e 0002 0004')))).toBeUndefined()
  })

  it('holds no more than its length can say', () => {
    expect(() => encodeFrame(FRAME.sealed, new Uint8Array(65_536))).toThrow(RangeError)
    expect(encodeFrame(FRAME.sealed, new Uint8Array(65_535)).length).toBe(65_538)
    const train = behindHeadroom(new Uint8Array(65_530))
    expect(() => frameInPlace(train, HEADROOM, { number: 1, segmentBytes: 1000 })).toThrow(RangeError)
  })
})

describe('a session frame', () => {
  it.each<[SessionFrame, string]>([
    [
      { kind: 'welcome', megabits: 1000, observed: endpoint('203.0.113.1', 443) },
      '02 000003e8 00000000000000000000ffff cb007101 01bb',
    ],
    [{ kind: 'refused', reason: 'ticket' }, '03 01'],
    [{ kind: 'ping', payload: hex('a1a2a3a4a5a6a7a8') }, '04 a1a2a3a4a5a6a7a8'],
    [{ kind: 'pong', payload: hex('a1a2a3a4a5a6a7a8') }, '05 a1a2a3a4a5a6a7a8'],
    [{ kind: 'closed', number: 0xfffefdfc, reason: 'notAllowed' }, '07 fffefdfc 01'],
    [{ kind: 'released', number: 258 }, '09 00000102'],
    [{ kind: 'message', number: 1, message: hex('aabb') }, '0a 00000001 aabb'],
    [{ kind: 'limited', dropped: 66 }, '0b 00000042'],
    [{ kind: 'ticket', ticket: hex('0102') }, '0c 0102'],
  ])('$kind is what the table says', (frame, expected) => {
    expect(encodeSessionFrame(frame)).toEqual(hex(expected))
    expect(decodeSessionFrame(hex(expected))).toEqual(frame)
    // A later version may say more.
    if (frame.kind !== 'message' && frame.kind !== 'ticket')
      expect(decodeSessionFrame(hex(`${expected} 00`))).toEqual(frame)
  })

  it.each(['open', 'peer'] as const)('%s holds a number and an identity', (kind) => {
    const bytes = encodeSessionFrame({ kind, number: 9, identity: ALICE })
    expect(bytes).toEqual(concatBytes(hex(kind === 'open' ? '06' : '08'), hex('00000009'), ALICE))
    expect(decodeSessionFrame(bytes)).toEqual({ kind, number: 9, identity: ALICE })
    expect(decodeSessionFrame(bytes.subarray(0, -1))).toBeUndefined()
  })

  it('tells of no limit', () => {
    const welcome: SessionFrame = { kind: 'welcome', megabits: Number.POSITIVE_INFINITY, observed: undefined }
    expect(encodeSessionFrame(welcome)).toEqual(hex('02 00000000'))
    expect(decodeSessionFrame(hex('02 00000000'))).toEqual(welcome)
  })

  it.each([
    '',
    '00',
    '0d 00000000',
    '01 00',
    '02 0000',
    '03',
    '03 09',
    '04 0102',
    '07 00000001',
    '07 00000001 09',
    '0a 00000001',
  ])('is nothing if it is "%s"', (text) => {
    expect(decodeSessionFrame(hex(text))).toBeUndefined()
  })

  it('is never more than its bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const frame = decodeSessionFrame(bytes)
        if (frame !== undefined) expect(encodeSessionFrame(frame).length).toBeLessThanOrEqual(bytes.length)
      }),
    )
  })
})

describe('what may go ahead of data', () => {
  const probe = (sizeBytes: number): Uint8Array => {
    const message = new Uint8Array(sizeBytes)
    message.set(MAGIC)
    return message
  }

  it.each([
    ['an initiation', initiation(1), true],
    ['a response', concatBytes(hex('02000000'), new Uint8Array(88)), true],
    ['a cookie reply', concatBytes(hex('03000000'), new Uint8Array(60)), true],
    ['a probe', probe(100), true],
    ['a probe with nothing in it', probe(51), false],
    ['a probe that is no datagram', probe(1501), false],
    ['an initiation of another size', initiation(1).subarray(1), false],
    ['an initiation with something behind it', concatBytes(initiation(1), hex('00')), false],
    ['data', DATA, false],
    ['another type', concatBytes(hex('05000000'), new Uint8Array(144)), false],
    ['a reserved byte that is set', concatBytes(hex('01000100'), new Uint8Array(144)), false],
    ['nothing', new Uint8Array(0), false],
  ])('%s: %#', (_, message, expected) => {
    expect(isControlMessage(message)).toBe(expected)
  })
})

describe('a stream of frames', () => {
  const body = fc.uint8Array({ minLength: 1, maxLength: 1500 })

  it('is cut right, however it comes', () => {
    fc.assert(
      fc.property(fc.array(body, { maxLength: 8 }), fc.array(fc.nat(4000)), (bodies, cuts) => {
        const frames = bodies.map((bytes) => encodeFrame(FRAME.sealed, bytes))
        const stream = concatBytes(...frames)
        const points = [0, ...cuts.map((cut) => Math.min(cut, stream.length)), stream.length].sort(
          (a, b) => a - b,
        )
        const chunks = points.slice(1).map((end, i) => stream.slice(points[i], end))
        expect(readAll(chunks).map(({ bytes }) => bytes)).toEqual(frames)
      }),
    )
  })

  it('gives frames byte by byte too', () => {
    const frames = [hex('01'), DATA, new Uint8Array(0)].map((bytes) => encodeFrame(FRAME.sealed, bytes))
    const bytes = frames.flatMap((frame) => [...frame].map((byte) => Uint8Array.of(byte)))
    expect(readAll(bytes).map((frame) => frame.bytes)).toEqual(frames)
  })

  it('never gives what is not whole, and says how much waits', () => {
    const reader = new FrameReader()
    reader.push(encodeFrame(FRAME.sealed, DATA).subarray(0, -1), () => expect.unreachable())
    expect(reader.waitingBytes).toBe(34)
    expect(readAll([hex('01'), hex('ff')])).toEqual([])
  })
})
