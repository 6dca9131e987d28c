import { beforeEach, describe, expect, it } from 'vitest'
import { concatBytes } from '../../../src/base/bytes.js'
import { Forwarder, type RelayEffect } from '../../../src/relay/forwarder.js'
import {
  decodeFrame,
  encodeBatch,
  encodePing,
  encodePong,
  encodeSend,
  IDENTITY_BYTES,
  type RawFrame,
  type RelayFrame,
} from '../../../src/relay/frames.js'
import { countingBytes, hex } from '../../support/hex.js'

const ALICE = countingBytes(IDENTITY_BYTES, 1)
const BOB = countingBytes(IDENTITY_BYTES, 101)
const CAROL = countingBytes(IDENTITY_BYTES, 201)
const DATA = hex('04000000 a1a2a3a4')
const HANDSHAKE = hex('01000000 b1b2b3b4')

let relay: Forwarder

beforeEach(() => {
  relay = new Forwarder()
  relay.add(1, ALICE, [])
  relay.add(2, BOB, [])
})

function raw(bytes: Uint8Array): RawFrame {
  return { type: bytes[0] as number, bytes }
}

/** What the relay does about a frame. */
function handle(client: number, bytes: Uint8Array): RelayEffect[] {
  const effects: RelayEffect[] = []
  relay.handleFrame(client, raw(bytes.slice()), effects)
  return effects
}

function frames(effects: readonly RelayEffect[]): (RelayFrame | undefined)[] {
  return effects.map((effect) => (effect.kind === 'write' ? decodeFrame(raw(effect.bytes)) : undefined))
}

/** All that waits for a client, as messages. */
function drain(client: number): Uint8Array[] {
  const messages: Uint8Array[] = []
  relay.handleDrained(client, (bytes) => {
    const frame = decodeFrame(raw(bytes))
    if (frame?.kind === 'messages') messages.push(frame.messages.slice())
    return false
  })
  return messages
}

describe('a relay', () => {
  it('hands a message to whom it is for, and says who it is from', () => {
    const effects = handle(1, encodeSend(BOB, DATA))
    expect(effects).toMatchObject([{ kind: 'write', client: 2 }])
    expect(frames(effects)).toEqual([
      { kind: 'messages', identity: ALICE, segmentBytes: DATA.length, messages: DATA },
    ])
    expect(relay.counters.forwarded).toBe(1)
  })

  it('hands a batch on whole', () => {
    const messages = concatBytes(DATA, DATA, DATA.subarray(0, 4))
    expect(frames(handle(2, encodeBatch(ALICE, DATA.length, messages)))).toEqual([
      { kind: 'messages', identity: BOB, segmentBytes: DATA.length, messages },
    ])
  })

  it('says that somebody is not here, in no more bytes than it was sent', () => {
    const question = encodeSend(CAROL, Uint8Array.of(4))
    const effects = handle(1, question)
    expect(frames(effects)).toEqual([{ kind: 'peerGone', identity: CAROL, reason: 'notHere' }])
    expect(effects[0]?.kind === 'write' && effects[0].bytes.length).toBe(question.length)
    relay.remove(2)
    expect(frames(handle(1, encodeSend(BOB, DATA)))).toMatchObject([{ kind: 'peerGone' }])
    expect(relay.counters.notHere).toBe(2)
  })

  it('answers a ping, and nothing to a pong', () => {
    expect(frames(handle(1, encodePing(hex('aabb'))))).toEqual([{ kind: 'pong', payload: hex('aabb') }])
    expect(handle(1, encodePong(hex('aabb')))).toEqual([])
  })

  it('counts what it does not understand and does nothing', () => {
    for (const text of ['09 0000', '01 0000', `03 0022${'00'.repeat(34)}`, '02 0000']) {
      expect(handle(1, hex(text))).toEqual([])
    }
    expect(relay.counters.malformed).toBe(4)
  })

  it('takes nothing from a connection that is not, or no longer, a client', () => {
    expect(handle(9, encodeSend(BOB, DATA))).toEqual([])
    relay.remove(1)
    expect(handle(1, encodeSend(BOB, DATA))).toEqual([])
  })

  it('closes the older of two connections with one identity; its end takes nobody away', () => {
    const effects: RelayEffect[] = []
    relay.add(3, BOB, effects)
    expect(effects).toEqual([{ kind: 'close', client: 2 }])
    relay.remove(2)
    expect(handle(1, encodeSend(BOB, DATA))).toMatchObject([{ kind: 'write', client: 3 }])
    expect(relay.clientCount).toBe(2)
  })

  it('keeps what a slow client cannot take, control ahead of data, and serves others meanwhile', () => {
    relay.add(3, CAROL, [])
    relay.handleBlocked(2)
    const later = hex('04000000 c1c2c3c4')
    for (const message of [DATA, later, HANDSHAKE]) {
      expect(handle(1, encodeSend(BOB, message))).toEqual([])
    }
    expect(handle(1, encodeSend(CAROL, DATA))).toHaveLength(1)
    expect(drain(2)).toEqual([HANDSHAKE, DATA, later])
    expect(handle(1, encodeSend(BOB, DATA))).toHaveLength(1)
  })

  it('stops writing when the buffer is full again', () => {
    relay.handleBlocked(2)
    for (let i = 0; i < 3; i++) handle(1, encodeSend(BOB, Uint8Array.of(4, i)))
    let written = 0
    relay.handleDrained(2, () => ++written === 1)
    expect(written).toBe(1)
    expect(handle(1, encodeSend(BOB, Uint8Array.of(4, 3)))).toEqual([])
    expect(drain(2)).toEqual([1, 2, 3].map((i) => Uint8Array.of(4, i)))
  })

  it('lets the oldest data give way, counted, and never handshakes for data', () => {
    relay.handleBlocked(2)
    handle(1, encodeSend(BOB, HANDSHAKE))
    const sent = 1000
    for (let i = 0; i < sent; i++) {
      handle(1, encodeSend(BOB, concatBytes(Uint8Array.of(4, i >> 8, i), new Uint8Array(1400))))
    }
    const waiting = drain(2)
    expect(waiting[0]).toEqual(HANDSHAKE)
    expect(waiting.length - 1 + relay.counters.overflow).toBe(sent)
    const [, first, last] = [0, waiting[1], waiting.at(-1)]
    expect([first?.[1], first?.[2]]).toEqual([relay.counters.overflow >> 8, relay.counters.overflow & 255])
    expect([last?.[1], last?.[2]]).toEqual([(sent - 1) >> 8, (sent - 1) & 255])
    expect(waiting.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(300 * 1024)
  })

  it('bounds tiny frames as well', () => {
    relay.handleBlocked(2)
    for (let i = 0; i < 20_000; i++) handle(1, encodeSend(BOB, Uint8Array.of(1)))
    expect(drain(2).length).toBeLessThan(1000)
  })
})
