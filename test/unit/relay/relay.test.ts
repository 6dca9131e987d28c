import { beforeEach, describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../../src/control/identity.js'
import { createTicket } from '../../../src/control/ticket.js'
import { TicketDirectory } from '../../../src/relay/directory.js'
import type { RelayEffect } from '../../../src/relay/forwarder.js'
import { FrameReader } from '../../../src/relay/frame-reader.js'
import {
  decodeFrame,
  encodeHello,
  encodeObserved,
  encodeProof,
  type RelayFrame,
} from '../../../src/relay/frames.js'
import { Relay } from '../../../src/relay/relay.js'
import { RelayClient, type RelayClientEffect } from '../../../src/relay/relay-client.js'
import { countingBytes, hex } from '../../support/hex.js'
import { seededRandom } from '../../support/seeded-random.js'
import { endpoint } from '../../support/simulated-nat.js'

const RELAY = identityFromSeed(countingBytes(32, 60))
const HUB = identityFromSeed(countingBytes(32, 61))
const ALICE = identityFromSeed(countingBytes(32, 1))
const BOB = identityFromSeed(countingBytes(32, 2))
const REMOTE = endpoint('203.0.113.7', 4444)
const HEADROOM = 64
const MESSAGE = hex('04000000 a1a2a3a4 b1b2b3b4')

/** A relay and its clients, joined by streams that lose nothing. */
const TERMS = { issuedAtS: 10, epoch: 1 }

class World {
  nowMs = 1000
  readonly relay: Relay
  readonly clients = new Map<number, RelayClient>()
  readonly seen = new Map<number, RelayClientEffect[]>()
  readonly closed = new Set<number>()
  readonly #readers = new Map<number, FrameReader>()

  constructor(maxBytesPerS = Number.POSITIVE_INFINITY) {
    this.relay = new Relay({
      identity: RELAY,
      random: seededRandom(3),
      directory: new TicketDirectory({ hubs: [HUB.publicKey], allowed: [], wallNowMs: () => 0 }),
      maxBytesPerS,
    })
  }

  connect(
    id: number,
    identity = ALICE,
    ticket = createTicket(HUB, identity.publicKey, TERMS),
    key = RELAY.publicKey,
  ): void {
    this.clients.set(id, new RelayClient({ identity, relayKey: key, ticket }))
    this.#readers.set(id, new FrameReader())
    this.seen.set(id, [])
    const effects: RelayEffect[] = []
    this.relay.handleConnected(id, REMOTE, this.nowMs, effects)
    this.#carryOut(effects)
    this.turn(id, (client, list) => client.start(this.nowMs, list))
  }

  turn(id: number, input: (client: RelayClient, effects: RelayClientEffect[]) => void): void {
    const client = this.clients.get(id)
    if (client === undefined) return
    const list: RelayClientEffect[] = []
    input(client, list)
    for (const effect of list) {
      if (effect.kind === 'write') this.toRelay(id, effect.bytes)
      else
        this.seen
          .get(id)
          ?.push(
            effect.kind === 'messages'
              ? { ...effect, identity: effect.identity.slice(), messages: effect.messages.slice() }
              : effect,
          )
    }
  }

  toRelay(id: number, bytes: Uint8Array): void {
    const effects: RelayEffect[] = []
    this.#readers.get(id)?.push(bytes, (frame) => this.relay.handleFrame(id, frame, this.nowMs, effects))
    this.#carryOut(effects)
  }

  send(from: number, to: Uint8Array, messages: Uint8Array, segmentBytes: number): void {
    const frame = new Uint8Array(HEADROOM + messages.length)
    frame.set(messages, HEADROOM)
    const bytes = this.clients.get(from)?.encode(frame, HEADROOM, { identity: to, segmentBytes }, this.nowMs)
    if (bytes !== undefined) this.toRelay(from, bytes)
  }

  kinds(id: number): string[] {
    return (this.seen.get(id) ?? []).map(({ kind }) => kind)
  }

  #carryOut(effects: readonly RelayEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'write') {
        const bytes = effect.bytes.slice()
        this.turn(effect.client, (client, list) => client.handleBytes(bytes, this.nowMs, list))
      } else {
        this.closed.add(effect.client)
        this.relay.handleClosed(effect.client)
      }
    }
  }
}

let world: World
beforeEach(() => {
  world = new World()
})

describe('admission', () => {
  it('is for who proves an identity and has a ticket for it', () => {
    world.connect(1)
    expect(world.kinds(1).sort()).toEqual(['observed', 'rtt', 'usable', 'welcome'])
    expect(world.seen.get(1)).toContainEqual({ kind: 'observed', endpoint: REMOTE })
    expect(world.relay.clientCount).toBe(1)
  })

  it('tells a client once where it is seen, whatever a relay says later', () => {
    world.connect(1)
    const again = encodeObserved(endpoint('203.0.113.8', 1))
    world.turn(1, (client, list) => client.handleBytes(again, world.nowMs, list))
    expect(world.kinds(1).filter((kind) => kind === 'observed')).toHaveLength(1)
  })

  it('is refused with a reason', () => {
    world.connect(1, ALICE, createTicket(HUB, BOB.publicKey, TERMS))
    world.connect(2, ALICE, new Uint8Array(0))
    for (const id of [1, 2]) expect(world.seen.get(id)).toContainEqual({ kind: 'failed', reason: 'ticket' })
    const effects: RelayEffect[] = []
    world.relay.handleConnected(3, REMOTE, 0, effects)
    world.toRelay(3, new Uint8Array(0))
    expect(world.closed).toEqual(new Set([1, 2]))
    expect(world.relay.totals().refused).toBe(2)
  })

  it('cannot be had with the proof of another', () => {
    const answers: RelayFrame[] = []
    const relay = new Relay({
      identity: RELAY,
      random: seededRandom(1),
      directory: { mayEnter: () => true, mayTalk: () => true },
      maxBytesPerS: 1e9,
    })
    const effects: RelayEffect[] = []
    const say = (bytes: Uint8Array): void => {
      new FrameReader().push(bytes, (frame) => relay.handleFrame(1, frame, 0, effects))
      for (const effect of effects.splice(0)) {
        const frame =
          effect.kind === 'write'
            ? decodeFrame({ type: effect.bytes[0] as number, bytes: effect.bytes })
            : undefined
        if (frame !== undefined) answers.push(frame)
      }
    }
    relay.handleConnected(1, REMOTE, 0, effects)
    say(encodeHello(ALICE.publicKey))
    say(
      encodeProof(BOB.sign('overlay relay proof v1', countingBytes(32), RELAY.publicKey), new Uint8Array(0)),
    )
    expect(answers.map(({ kind }) => kind)).toEqual(['challenge', 'refused'])
    expect(relay.clientCount).toBe(0)
  })

  it('is not sought from a relay with another key', () => {
    world.connect(1, ALICE, new Uint8Array(0), HUB.publicKey)
    expect(world.seen.get(1)).toEqual([{ kind: 'failed', reason: 'wrongRelay' }])
  })

  it('ends for who is silent, or one of too many', () => {
    const effects: RelayEffect[] = []
    for (let id = 1; id <= 1030; id++) world.relay.handleConnected(id, REMOTE, 0, effects)
    expect(effects).toEqual([1, 2, 3, 4, 5, 6].map((client) => ({ kind: 'close', client })))
    expect(world.relay.nextDeadlineMs()).toBe(5000)
    world.relay.handleTimeout(5000, effects)
    expect(effects).toHaveLength(1030)
    expect(world.relay.totals().abandoned).toBe(1030)
    expect(world.relay.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY)
  })

  it('may be by a list', () => {
    const list = new TicketDirectory({ hubs: [], allowed: [ALICE.publicKey], wallNowMs: () => 0 })
    expect([ALICE, BOB].map(({ publicKey }) => list.mayEnter(publicKey, new Uint8Array(0)))).toEqual([
      true,
      false,
    ])
  })

  it('ends when the hub says so', () => {
    world.connect(1)
    const effects: RelayEffect[] = []
    world.relay.handleDirectoryChange(new Set([ALICE.text, BOB.text]), effects)
    expect(effects).toEqual([{ kind: 'close', client: 1 }])
  })
})

describe('forwarding', () => {
  beforeEach(() => {
    world.connect(1)
    world.connect(2, BOB)
  })

  it('brings messages, alone and in trains, with who sent them', () => {
    world.send(1, BOB.publicKey, MESSAGE, MESSAGE.length)
    const train = new Uint8Array(3 * 100 + 50).fill(4)
    world.send(1, BOB.publicKey, train, 100)
    const messages = world.seen.get(2)?.filter(({ kind }) => kind === 'messages')
    expect(messages).toEqual([
      { kind: 'messages', identity: ALICE.publicKey, segmentBytes: MESSAGE.length, messages: MESSAGE },
      { kind: 'messages', identity: ALICE.publicKey, segmentBytes: 100, messages: train },
    ])
  })

  it('tells who is not here', () => {
    world.send(1, HUB.publicKey, MESSAGE, MESSAGE.length)
    expect(world.seen.get(1)?.at(-1)).toEqual({ kind: 'peerGone', identity: HUB.publicKey })
  })

  it('is limited by rate, and says so once a second', () => {
    world = new World(1000)
    world.connect(1)
    world.connect(2, BOB)
    for (let i = 0; i < 20; i++) world.send(1, BOB.publicKey, new Uint8Array(200).fill(4), 200)
    expect(world.kinds(2).filter((kind) => kind === 'messages')).toHaveLength(4)
    expect(world.kinds(1).filter((kind) => kind === 'rateLimited')).toHaveLength(1)
    expect(world.relay.totals().rateLimited).toBeGreaterThan(10)
    world.nowMs += 1000
    world.send(1, BOB.publicKey, new Uint8Array(200).fill(4), 200)
    expect(world.kinds(2).filter((kind) => kind === 'messages')).toHaveLength(5)
  })
})

describe('a client', () => {
  it('sends nothing before it is admitted', () => {
    const client = new RelayClient({ identity: ALICE, relayKey: RELAY.publicKey, ticket: new Uint8Array(0) })
    client.start(0, [])
    expect(
      client.encode(new Uint8Array(100), HEADROOM, { identity: BOB.publicKey, segmentBytes: 36 }, 0),
    ).toBeUndefined()
    expect(client.nextDeadlineMs()).toBe(5000)
    const effects: RelayClientEffect[] = []
    client.handleTimeout(5000, effects)
    expect(effects).toEqual([{ kind: 'failed', reason: 'silent' }])
    expect(client.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY)
  })

  it('notices a dead relay within seconds of sending, and of being asked', () => {
    world.connect(1)
    world.connect(2, BOB)
    const client = world.clients.get(1)
    if (client === undefined) throw new Error('no client')
    world.send(1, BOB.publicKey, MESSAGE, MESSAGE.length)
    expect(client.nextDeadlineMs()).toBe(world.nowMs + 1000)
    const effects: RelayClientEffect[] = []
    client.handleTimeout(world.nowMs + 1000, effects)
    expect(effects.map(({ kind }) => kind)).toEqual(['write'])
    client.handleTimeout(world.nowMs + 2500, effects)
    expect(effects.at(-1)).toEqual({ kind: 'failed', reason: 'silent' })
    const other = world.clients.get(2)
    other?.probe(world.nowMs, effects)
    expect(other?.nextDeadlineMs()).toBe(world.nowMs + 1500)
  })
})
