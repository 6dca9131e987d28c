import { beforeEach, describe, expect, it } from 'vitest'
import type { Identity } from '../../../src/control/identity.js'
import { NoiseInitiator, NoiseSession } from '../../../src/control/noise-nk.js'
import { FrameReader } from '../../../src/relay/frame-reader.js'
import { bodyOf, encodeFrame, FRAME, frameInPlace } from '../../../src/relay/frames.js'
import { type Channel, type RelayEffect, RelaySession } from '../../../src/relay/relay-session.js'
import {
  decodeSessionFrame,
  encodeSessionFrame,
  RELAY_PROOF_LABEL,
  type SessionFrame,
} from '../../../src/relay/session-frames.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { dataMessage, identityOf, initiation, RELAY_KEY, RelayWorld } from '../../support/relay-world.js'
import { seededRandom } from '../../support/seeded-random.js'

const ALICE = identityOf(1)
const BOB = identityOf(2)
const HEADROOM = 64

/** An admitted client that says to the relay whatever a test wants. */
class Member {
  readonly #world: RelayWorld
  readonly #id: number
  readonly noise: NoiseSession
  #read = 0
  readonly #reader = new FrameReader()

  constructor(world: RelayWorld, id: number, identity: Identity) {
    this.#world = world
    this.#id = id
    const kind = { crypto: nodeCrypto, random: seededRandom(id), prologue: 'overlay relay v1' } as const
    const initiator = NoiseInitiator.tryCreate(kind, RELAY_KEY.publicKey)
    world.accept(id)
    world.toRelay(id, encodeFrame(FRAME.hello, initiator?.message ?? new Uint8Array(0)))
    const answer = world.wires.get(id)?.toClient[this.#read++]
    const noise = answer && initiator?.finish(bodyOf({ type: FRAME.answer, bytes: answer }))
    if (noise === undefined) throw new Error('no session')
    this.noise = noise
    const signature = identity.sign(RELAY_PROOF_LABEL, noise.handshakeHash)
    this.say({ kind: 'proof', identity: identity.publicKey, signature, ticket: new Uint8Array(0) })
    this.heard()
  }

  say(frame: SessionFrame): void {
    this.write(encodeFrame(FRAME.sealed, this.noise.seal(encodeSessionFrame(frame))))
  }

  train(number: number, messages: Uint8Array, segmentBytes = messages.length): void {
    const frame = new Uint8Array(HEADROOM + messages.length)
    frame.set(messages, HEADROOM)
    this.write(frameInPlace(frame, HEADROOM, { number, segmentBytes }).slice())
  }

  write(bytes: Uint8Array): void {
    this.#world.toRelay(this.#id, bytes)
  }

  /** What the relay has said in the session since the last call. */
  heard(): (SessionFrame | undefined)[] {
    const all = this.#world.wires.get(this.#id)?.toClient ?? []
    const frames: (SessionFrame | undefined)[] = []
    for (const bytes of all.slice(this.#read)) {
      this.#reader.push(bytes, (frame) => {
        const plain = frame.type === FRAME.sealed ? this.noise.open(bodyOf(frame)) : undefined
        if (plain !== undefined) frames.push(decodeSessionFrame(plain.slice()))
      })
    }
    this.#read = all.length
    return frames
  }
}

let world: RelayWorld
let member: Member
beforeEach(() => {
  world = new RelayWorld()
  world.connect(2, BOB)
  member = new Member(world, 1, ALICE)
})

describe('a member', () => {
  it('cannot use the proof of another session', () => {
    const kind = { crypto: nodeCrypto, random: seededRandom(77), prologue: 'overlay relay v1' } as const
    const initiator = NoiseInitiator.tryCreate(kind, RELAY_KEY.publicKey)
    world.accept(9)
    world.toRelay(9, encodeFrame(FRAME.hello, initiator?.message ?? new Uint8Array(0)))
    const [answer] = world.wires.get(9)?.toClient ?? []
    const noise = answer && initiator?.finish(bodyOf({ type: FRAME.answer, bytes: answer }))
    const signature = ALICE.sign(RELAY_PROOF_LABEL, member.noise.handshakeHash)
    const proof = { kind: 'proof', identity: ALICE.publicKey, signature, ticket: new Uint8Array(0) } as const
    world.toRelay(9, encodeFrame(FRAME.sealed, noise?.seal(encodeSessionFrame(proof)) ?? new Uint8Array(0)))
    expect(world.closed).toEqual(new Set([9]))
    expect(world.relay.totals().refused).toBe(1)
  })

  it('cannot use the numbers and frames of another session', () => {
    const other = new Member(world, 3, identityOf(3))
    member.say({ kind: 'open', number: 5, identity: BOB.publicKey })
    member.train(5, dataMessage(1))
    other.train(5, dataMessage(2))
    expect(world.received(2)).toEqual([[ALICE.text, 1]])
    const [, , sealed] = world.wires.get(1)?.toRelay ?? []
    other.write(sealed ?? new Uint8Array(0))
    expect(world.closed).toEqual(new Set([3]))
    expect(world.relay.totals()).toMatchObject({ unknownNumber: 1, malformed: 1 })
  })

  it('opens numbers that rise, once each', () => {
    member.say({ kind: 'open', number: 5, identity: BOB.publicKey })
    for (const number of [5, 4]) member.say({ kind: 'open', number, identity: identityOf(3).publicKey })
    expect(world.relay.totals().malformed).toBe(2)
    member.say({ kind: 'released', number: 5 })
    member.say({ kind: 'open', number: 5, identity: BOB.publicKey })
    member.train(5, dataMessage(1))
    expect(world.received(2)).toEqual([])
  })

  it('has one number for each peer, whatever it opens', () => {
    for (let number = 0; number < 300; number++) {
      member.say({ kind: 'open', number, identity: BOB.publicKey })
      member.train(number, dataMessage(1))
    }
    expect(world.received(2)).toHaveLength(300)
    expect(world.clients.get(2)?.counters).toEqual({
      unknownNumber: 0,
      junk: 0,
      controlLimited: 0,
      sealedLimited: 0,
      strange: 0,
    })
    member.train(7, dataMessage(1))
    expect(world.received(2)).toHaveLength(300)
  })

  it('may not write to itself, nor open what is nobody', () => {
    member.say({ kind: 'open', number: 1, identity: ALICE.publicKey })
    member.say({ kind: 'open', number: 2, identity: identityOf(9).publicKey })
    expect(member.heard()).toEqual([
      { kind: 'closed', number: 1, reason: 'notAllowed' },
      { kind: 'closed', number: 2, reason: 'notHere' },
    ])
  })

  it('is passed over when it seals more than it may, and keeps its session', () => {
    member.say({ kind: 'open', number: 1, identity: BOB.publicKey })
    for (let i = 0; i < 9000; i++) member.say({ kind: 'message', number: 1, message: initiation(1) })
    expect(world.relay.totals().sealedLimited).toBeGreaterThan(800)
    world.nowMs += 1000
    member.say({ kind: 'message', number: 1, message: initiation(9) })
    expect(world.relay.clientCount).toBe(2)
    world.nowMs += 10_000
    member.say({ kind: 'message', number: 1, message: initiation(9) })
    expect(world.received(2).at(-1)).toEqual([ALICE.text, 9])
  })

  it('does not get junk ahead of data, nor anywhere', () => {
    member.say({ kind: 'open', number: 1, identity: BOB.publicKey })
    const big = new Uint8Array(1400).fill(6)
    for (const message of [big, dataMessage(1), initiation(1).subarray(1)]) {
      member.say({ kind: 'message', number: 1, message })
      member.train(1, message.fill(6, 0, 1))
    }
    expect(world.relay.totals()).toMatchObject({ forwarded: 0, junk: 6 })
  })

  it('has a budget of what goes ahead of data', () => {
    const other = new Member(world, 3, identityOf(3))
    member.say({ kind: 'open', number: 1, identity: BOB.publicKey })
    other.say({ kind: 'open', number: 1, identity: BOB.publicKey })
    for (let i = 0; i < 3600; i++) member.say({ kind: 'message', number: 1, message: initiation(1) })
    world.block(2)
    const before = world.received(2).length
    for (let i = 0; i < 100; i++) member.say({ kind: 'message', number: 1, message: initiation(1) })
    other.train(1, dataMessage(2))
    world.drain(2)
    const marks = world
      .received(2)
      .slice(before)
      .map(([, mark]) => mark)
    expect(marks.indexOf(2)).toBeLessThan(75)
    expect(marks).toHaveLength(101)
  })

  it('that asks and does not read is let go', () => {
    world.block(1)
    for (let i = 0; i < 2000; i++) member.say({ kind: 'ping', payload: new Uint8Array(8) })
    expect(world.closed).toEqual(new Set([1]))
  })
})

it('senders that write to one recipient are bounded there: the idlest gives way, and is named again', () => {
  const session = (id: number): RelaySession => {
    const noise = new NoiseSession(
      nodeCrypto,
      { send: new Uint8Array(32), receive: new Uint8Array(32) },
      new Uint8Array(32),
    )
    const identity = identityOf(id).publicKey
    return new RelaySession({ id, identity, noise, firstNumber: 50, maxNumbers: () => 3, nowMs: 0 })
  }
  const reader = new NoiseSession(
    nodeCrypto,
    { send: new Uint8Array(32), receive: new Uint8Array(32) },
    new Uint8Array(32),
  )
  const bob = session(2)
  const said: string[] = []
  const channels = [3, 4, 5, 6].map((id) => {
    const from = session(id)
    const channel: Channel = { from, identity: BOB.text, number: 1, named: undefined, to: bob, usedAtMs: id }
    from.open(channel)
    return channel
  })
  for (const channel of [...channels, ...channels.slice(0, 1)]) {
    const effects: RelayEffect[] = []
    bob.forward(channel, initiation(1), { isSealed: true, isControl: true }, effects)
    for (const effect of effects) {
      if (effect.kind !== 'write') continue
      const plain = reader.open(bodyOf({ type: FRAME.sealed, bytes: effect.bytes }))
      const frame = plain && decodeSessionFrame(plain)
      if (frame !== undefined && 'number' in frame) said.push(`${frame.kind} ${frame.number}`)
    }
  }
  expect(said.filter((text) => !text.startsWith('message'))).toEqual([
    'peer 50',
    'peer 51',
    'peer 52',
    'released 50',
    'peer 53',
    'released 51',
    'peer 54',
  ])
  expect(bob.named.size).toBe(3)
})
