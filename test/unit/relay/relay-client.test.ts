import { beforeEach, describe, expect, it } from 'vitest'
import { type NoiseSession, respondNoise } from '../../../src/control/noise-nk.js'
import { FrameReader } from '../../../src/relay/frame-reader.js'
import { bodyOf, encodeFrame, FRAME, frameInPlace } from '../../../src/relay/frames.js'
import { RelayClient, type RelayClientEffect } from '../../../src/relay/relay-client.js'
import {
  decodeSessionFrame,
  encodeSessionFrame,
  type SessionFrame,
} from '../../../src/relay/session-frames.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { countingBytes } from '../../support/hex.js'
import { dataMessage, identityOf, initiation, RELAY_KEY, REMOTE } from '../../support/relay-world.js'
import { seededRandom } from '../../support/seeded-random.js'
import { endpoint } from '../../support/simulated-nat.js'

const ALICE = identityOf(1)
const BOB = identityOf(2)
const HEADROOM = 64
const WELCOME: SessionFrame = { kind: 'welcome', megabits: 1000, observed: REMOTE }

/** A client, and a relay that holds the key and says whatever a test wants. */
class Liar {
  nowMs = 1000
  readonly client: RelayClient
  readonly seen: RelayClientEffect[] = []
  /** What the client said in the session. */
  readonly heard: (SessionFrame | undefined)[] = []
  /** Payload of its last ping. */
  asked: Uint8Array = new Uint8Array(8)
  readonly #reader = new FrameReader()
  #noise: NoiseSession | undefined

  constructor() {
    const { publicKey: relayKey } = RELAY_KEY
    const random = seededRandom(5)
    this.client = new RelayClient({
      identity: ALICE,
      relayKey,
      ticket: new Uint8Array(0),
      crypto: nodeCrypto,
      random,
    })
    this.turn((effects) => this.client.start(this.nowMs, effects))
  }

  turn(input: (effects: RelayClientEffect[]) => void): void {
    const effects: RelayClientEffect[] = []
    input(effects)
    for (const effect of effects) {
      if (effect.kind === 'write') this.#read(effect.bytes)
      else this.seen.push(effect)
    }
    if (effects.some(({ kind }) => kind === 'usable')) this.turn((list) => this.client.prove(list))
  }

  /** In the clear. */
  write(bytes: Uint8Array): void {
    this.turn((effects) => this.client.handleBytes(bytes, this.nowMs, effects))
  }

  say(frame: SessionFrame): void {
    this.saySealed(encodeSessionFrame(frame))
  }

  saySealed(plain: Uint8Array): void {
    if (this.#noise !== undefined) this.write(encodeFrame(FRAME.sealed, this.#noise.seal(plain)))
  }

  train(number: number, messages: Uint8Array, segmentBytes = messages.length): void {
    const frame = new Uint8Array(HEADROOM + messages.length)
    frame.set(messages, HEADROOM)
    this.write(frameInPlace(frame, HEADROOM, { number, segmentBytes }).slice())
  }

  send(identity: string, message: Uint8Array): number | undefined {
    const frame = new Uint8Array(HEADROOM + message.length)
    frame.set(message, HEADROOM)
    let dropped: number | undefined
    this.turn((effects) => {
      const isControl = message[0] !== 4
      const what = { identity, frame, headroom: HEADROOM, segmentBytes: message.length, isControl }
      dropped = this.client.send(what, this.nowMs, effects)
    })
    return dropped
  }

  count(kind: RelayClientEffect['kind']): number {
    return this.seen.filter((effect) => effect.kind === kind).length
  }

  #read(bytes: Uint8Array): void {
    this.#reader.push(bytes, (frame) => {
      if (frame.type === FRAME.hello) {
        const kind = { crypto: nodeCrypto, random: seededRandom(6), prologue: 'overlay relay v1' } as const
        const response = respondNoise(kind, RELAY_KEY, bodyOf(frame))
        this.#noise = response?.session
        if (response !== undefined) this.write(encodeFrame(FRAME.answer, response.answer))
      } else if (frame.type === FRAME.sealed) {
        const plain = this.#noise?.open(bodyOf(frame))
        const said = plain && decodeSessionFrame(plain)
        this.heard.push(said)
        if (said?.kind === 'ping') this.asked = said.payload.slice()
      }
    })
  }
}

let relay: Liar
beforeEach(() => {
  relay = new Liar()
  relay.say(WELCOME)
  relay.seen.length = 0
  relay.heard.length = 0
})

describe('a client', () => {
  it('sends nothing before the relay has proved its key', () => {
    const random = seededRandom(5)
    const { publicKey: relayKey } = RELAY_KEY
    const options = { identity: ALICE, relayKey, ticket: new Uint8Array(0), crypto: nodeCrypto, random }
    const client = new RelayClient(options)
    const effects: RelayClientEffect[] = []
    client.start(0, effects)
    const what = {
      identity: BOB.text,
      frame: new Uint8Array(100),
      headroom: HEADROOM,
      segmentBytes: 36,
      isControl: false,
    }
    expect(client.send(what, 0, effects)).toBeUndefined()
    expect(effects.map(({ kind }) => kind)).toEqual(['write'])
    expect(client.nextDeadlineMs()).toBe(5000)
    client.handleTimeout(5000, effects)
    expect(effects.at(-1)).toEqual({ kind: 'failed', reason: 'silent' })
    expect(client.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY)
  })

  it('does not begin with a key of low order', () => {
    const relayKey = nodeCrypto.dhPrivateKey(countingBytes(32)).publicKey
    const options = {
      identity: ALICE,
      relayKey,
      ticket: new Uint8Array(0),
      crypto: nodeCrypto,
      random: seededRandom(1),
    }
    relayKey.fill(0)
    const effects: RelayClientEffect[] = []
    new RelayClient(options).start(0, effects)
    expect(effects).toEqual([{ kind: 'failed', reason: 'wrongRelay' }])
  })

  it('notices a dead relay within seconds of sending, and of being asked', () => {
    relay.say({ kind: 'pong', payload: relay.asked })
    expect(relay.seen).toEqual([{ kind: 'rtt', ms: 0 }])
    relay.send(BOB.text, dataMessage(1))
    expect(relay.client.nextDeadlineMs()).toBe(relay.nowMs + 1000)
    relay.turn((effects) => relay.client.handleTimeout(relay.nowMs + 1000, effects))
    expect(relay.heard.at(-1)).toMatchObject({ kind: 'ping' })
    relay.turn((effects) => relay.client.handleTimeout(relay.nowMs + 5500, effects))
    expect(relay.seen.at(-1)).toEqual({ kind: 'failed', reason: 'silent' })
  })

  it('opens a number for each peer, right before the first message to it', () => {
    relay.send(BOB.text, initiation(1))
    relay.send(BOB.text, initiation(2))
    expect(relay.heard.map((frame) => frame?.kind)).toEqual(['open', 'message', 'message'])
    const [open, first] = relay.heard
    expect(open).toMatchObject({ kind: 'open', identity: BOB.publicKey })
    expect(first?.kind === 'message' && open?.kind === 'open' && first.number === open.number).toBe(true)
  })

  it('never uses a number again, and asks at most every 100 ms for a peer that is not there', () => {
    const numbers: number[] = []
    for (let i = 0; i < 100; i++) {
      relay.send(BOB.text, dataMessage(i))
      const open = relay.heard.at(-1)
      if (open?.kind === 'open' && open.number !== numbers.at(-1)) {
        numbers.push(open.number)
        relay.say({ kind: 'closed', number: open.number, reason: 'notHere' })
      }
      relay.nowMs += 10
    }
    expect(numbers).toHaveLength(10)
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    expect(relay.count('peerGone')).toBe(10)
  })

  it('sends a handshake again whose peer the relay hears of a moment later', () => {
    relay.say({ kind: 'pong', payload: relay.asked })
    relay.send(BOB.text, initiation(1))
    for (let i = 0; i < 20; i++) {
      const open = relay.heard.findLast((frame) => frame?.kind === 'open')
      if (open?.kind === 'open') relay.say({ kind: 'closed', number: open.number, reason: 'notAllowed' })
      relay.nowMs += 100
      relay.turn((effects) => relay.client.handleTimeout(relay.nowMs, effects))
    }
    const kinds = relay.heard.flatMap((frame) => (frame?.kind === 'ping' ? [] : [frame?.kind]))
    expect(kinds.filter((kind) => kind === 'message')).toHaveLength(6)
    expect(kinds.filter((kind) => kind === 'open')).toHaveLength(6)
    expect(relay.count('failed')).toBe(0)
  })

  it('gives the number that was idle for longest back when it has too many', () => {
    const identity = (i: number): string =>
      Buffer.from(countingBytes(32, i))
        .fill(i >> 8, 0, 1)
        .toString('base64')
    for (let i = 0; i < 1024; i++) {
      relay.nowMs += 1
      relay.send(identity(i), initiation(1))
    }
    relay.send(identity(0), initiation(1))
    relay.send(identity(1024), initiation(1))
    const [opened, released] = (['open', 'released'] as const).map((kind) =>
      relay.heard.flatMap((frame) => (frame?.kind === kind && 'number' in frame ? [frame.number] : [])),
    )
    expect(opened).toHaveLength(1025)
    expect(released).toEqual([opened?.[1]])
  })
})

describe('of a relay that lies, a client', () => {
  it('learns once where it is seen, whatever is said later', () => {
    expect(relay.count('observed')).toBe(0)
    for (let i = 0; i < 50; i++) {
      relay.say({ kind: 'welcome', megabits: 1, observed: endpoint('203.0.113.8', 1 + i) })
    }
    expect(relay.seen).toEqual([])
    expect(relay.client.counters.strange).toBe(50)
  })

  it('takes no frame that was changed, left out, or comes again', () => {
    relay.write(encodeFrame(FRAME.sealed, new Uint8Array(40)))
    expect(relay.seen).toEqual([{ kind: 'failed', reason: 'forged' }])
    relay.write(encodeFrame(FRAME.sealed, new Uint8Array(40)))
    expect(relay.seen).toHaveLength(1)
  })

  it('answers nothing: what it is asked costs it no word', () => {
    for (let i = 0; i < 90; i++) relay.say({ kind: 'ping', payload: new Uint8Array(8) })
    expect(relay.heard).toEqual([])
    expect(relay.client.counters.strange).toBe(90)
  })

  it.each<[string, (i: number) => void]>([
    ['pings', () => relay.say({ kind: 'ping', payload: new Uint8Array(8) })],
    ['pongs', () => relay.say({ kind: 'pong', payload: new Uint8Array(8) })],
    ['farewells of nobody', (i) => relay.say({ kind: 'closed', number: i, reason: 'notHere' })],
    ['ends of what it never named', (i) => relay.say({ kind: 'released', number: i })],
    ['frames of no type', () => relay.saySealed(new Uint8Array(30).fill(200))],
    ['frames of no type in the clear', () => relay.write(encodeFrame(77, new Uint8Array(30)))],
    ['limits', () => relay.say({ kind: 'limited', dropped: 5 })],
    [
      'more senders than there can be',
      (i) => relay.say({ kind: 'peer', number: i, identity: BOB.publicKey }),
    ],
  ])('lets go of one that says %s without end', (_, lie) => {
    let said = 0
    while (relay.count('failed') === 0 && said < 3000) lie(said++)
    expect(relay.seen.at(-1)).toEqual({ kind: 'failed', reason: 'misbehaving' })
    expect(said).toBeLessThan(1200)
    expect(relay.count('peerGone')).toBe(0)
    expect(relay.count('limited')).toBeLessThan(2)
  })

  it('lets go of one that sends a sealed frame of more than there is to say', () => {
    relay.saySealed(new Uint8Array(4000))
    expect(relay.seen).toEqual([{ kind: 'failed', reason: 'misbehaving' }])
  })

  it('takes handshakes and probes at a rate, and counts the others', () => {
    relay.say({ kind: 'peer', number: 5, identity: BOB.publicKey })
    for (let i = 0; i < 9000; i++) relay.say({ kind: 'message', number: 5, message: initiation(1) })
    expect(relay.count('messages')).toBe(4096)
    const { controlLimited, sealedLimited } = relay.client.counters
    expect(controlLimited + sealedLimited).toBe(9000 - 4096)
    expect(sealedLimited).toBeGreaterThan(800)
    relay.nowMs += 1000
    relay.seen.length = 0
    relay.say({ kind: 'message', number: 5, message: initiation(1) })
    expect(relay.seen).toMatchObject([{ kind: 'messages', identity: BOB.text }])
  })

  it('takes messages of named senders alone, and only what may go that way', () => {
    relay.train(5, dataMessage(1))
    relay.say({ kind: 'peer', number: 5, identity: BOB.publicKey })
    relay.train(5, initiation(1))
    relay.train(5, new Uint8Array(60_000).fill(4), 1)
    relay.say({ kind: 'message', number: 5, message: dataMessage(1) })
    relay.say({ kind: 'message', number: 6, message: initiation(1) })
    expect(relay.count('messages')).toBe(0)
    expect(relay.client.counters).toMatchObject({ unknownNumber: 2, junk: 3 })
    relay.train(5, dataMessage(2))
    relay.say({ kind: 'released', number: 5 })
    relay.train(5, dataMessage(3))
    expect(relay.count('messages')).toBe(1)
  })

  it('never takes a number for another sender', () => {
    relay.say({ kind: 'peer', number: 5, identity: BOB.publicKey })
    relay.say({ kind: 'peer', number: 5, identity: ALICE.publicKey })
    relay.say({ kind: 'peer', number: 4, identity: ALICE.publicKey })
    relay.train(5, dataMessage(1))
    expect(relay.seen).toMatchObject([{ kind: 'messages', identity: BOB.text }])
    expect(relay.client.counters.strange).toBe(2)
  })
})
