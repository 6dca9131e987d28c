import { Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { formatBase64 } from '../../../../src/base/bytes.js'
import {
  encodeMessage,
  type Hello,
  type HubMessage,
  hubMessage,
  type NodeMessage,
  PROOF_LABEL,
  tryDecodeMessage,
} from '../../../../src/control/messages.js'
import { NoiseInitiator, type NoiseSession } from '../../../../src/control/noise-nk.js'
import { type ChannelHandlers, ControlChannel } from '../../../../src/hub/io/control-channel.js'
import { ControlServer } from '../../../../src/hub/io/control-server.js'
import { ipFromBytes } from '../../../../src/net/ip.js'
import { nodeCrypto } from '../../../../src/wireguard/crypto-node.js'
import { helloOf, type TestNode, testNode } from '../../../support/control.js'
import { countingBytes } from '../../../support/hex.js'
import { HubWorld } from '../../../support/hub-world.js'

const KEY = nodeCrypto.dhPrivateKey(countingBytes(32, 5))
const MAX_STRANGERS = 2048

/** A far end that reads when it is told to. */
class FakeChannel extends ControlChannel {
  readonly heard: Uint8Array[] = []
  isReading = true
  end: 'closed' | 'terminated' | undefined
  handlers: ChannelHandlers | undefined
  #waitingBytes = 0

  constructor() {
    super(new Socket(), Buffer.alloc(0))
  }

  override get bufferedAmount(): number {
    return this.#waitingBytes
  }

  override start(handlers: ChannelHandlers): void {
    this.handlers = handlers
  }

  override send(message: Uint8Array): boolean {
    this.heard.push(message)
    if (!this.isReading) this.#waitingBytes += message.length
    return this.isReading
  }

  override close(): void {
    this.end ??= 'closed'
  }

  override terminate(): void {
    this.end = 'terminated'
    this.handlers?.onClosed()
  }

  say(bytes: Uint8Array): void {
    this.handlers?.onMessage(Buffer.from(bytes))
  }

  read(): void {
    this.isReading = true
    this.#waitingBytes = 0
    this.handlers?.onDrain?.()
  }
}

let world: HubWorld
let server: ControlServer
let nowMs: number

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  nowMs = 0
  world = new HubWorld()
  server = new ControlServer({
    hub: world.hub,
    crypto: nodeCrypto,
    random: (length) => countingBytes(length, 77),
    keys: () => [KEY],
    nowMs: () => nowMs,
    onDirectory: () => undefined,
    onFault: (error) => {
      throw error
    },
  })
})
afterEach(() => {
  server.stop()
  vi.useRealTimers()
})

function dial(host = 1): FakeChannel {
  const channel = new FakeChannel()
  const address = ipFromBytes(Uint8Array.of(192, 0, 2, host))
  server.accept(channel, { address, port: 1, scopeId: 0 })
  return channel
}

/** Until all that waits for its turn had it. */
async function turns(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
}

class Peer {
  readonly channel: FakeChannel
  #session: NoiseSession | undefined
  #read = 1

  constructor(host?: number) {
    this.channel = dial(host)
  }

  async shakeHands(): Promise<void> {
    const kind = {
      crypto: nodeCrypto,
      random: () => countingBytes(32, 1),
      prologue: 'overlay control v1',
    } as const
    const initiator = NoiseInitiator.tryCreate(kind, KEY.publicKey)
    if (initiator === undefined) throw new Error('no handshake')
    this.channel.say(initiator.message)
    await turns()
    const [answer = new Uint8Array(0)] = this.channel.heard
    this.#session = initiator.finish(answer)
  }

  say(message: NodeMessage): void {
    const session = this.#session
    if (session === undefined) throw new Error('no session')
    this.channel.say(session.seal(encodeMessage(message)))
  }

  async hello(node: TestNode, more: Partial<Hello>): Promise<void> {
    const hash = this.#session?.handshakeHash ?? new Uint8Array(0)
    this.say(helloOf(node, { proof: formatBase64(node.identity.sign(PROOF_LABEL, hash)), ...more }))
    await turns()
  }

  /** What came since it was asked last. */
  heard(): HubMessage[] {
    const news = this.channel.heard.slice(this.#read)
    this.#read = this.channel.heard.length
    return news.flatMap((bytes) => {
      const plain = this.#session?.open(bytes)
      const message = plain && tryDecodeMessage(hubMessage, plain)
      if (message === undefined) throw new Error('not the next message')
      return message
    })
  }
}

async function member(number: number): Promise<Peer> {
  const peer = new Peer(number)
  await peer.shakeHands()
  await peer.hello(testNode(number), { secret: world.token(), name: `n${number}` })
  return peer
}

describe('a stranger', () => {
  it('has a deadline for each thing that it has to say', async () => {
    const silent = dial()
    const halfway = new Peer()
    vi.advanceTimersByTime(4000)
    await halfway.shakeHands()
    vi.advanceTimersByTime(4000)
    expect([silent.end, halfway.channel.end]).toEqual(['terminated', undefined])
    vi.advanceTimersByTime(1000)
    expect(halfway.channel.end).toBe('terminated')
    expect(server.strangers).toBe(0)
  })

  it('is one until its connection is gone, also when it was refused', async () => {
    const peer = new Peer()
    await peer.shakeHands()
    await peer.hello(testNode(1), { secret: 'bm8=' })
    expect(peer.heard()).toMatchObject([{ type: 'refused', code: 'token' }])
    expect([peer.channel.end, server.strangers]).toEqual(['closed', 1])
    const mute = new Peer()
    await mute.shakeHands()
    mute.say({ type: 'ping' })
    await turns()
    expect([mute.channel.end, server.strangers]).toEqual(['closed', 2])
    vi.advanceTimersByTime(5000)
    expect(server.strangers).toBe(0)
  })

  it('gives way where its source holds most, and members do not', async () => {
    const alice = await member(1)
    const honest = dial(2)
    const flood = Array.from({ length: MAX_STRANGERS + 3 }, () => dial(3))
    expect(flood.filter(({ end }) => end !== undefined)).toHaveLength(4)
    expect([honest.end, alice.channel.end]).toEqual([undefined, undefined])
    expect(server.crowdedOut).toBe(4)
  })

  it('says no more than a hello and what follows on its heels', async () => {
    const peer = dial()
    for (let i = 0; i < 33; i++) peer.say(countingBytes(48))
    expect(peer.end).toBe('terminated')
  })
})

describe('a member that reads slowly', () => {
  it('hears the latest of each other node when it reads again, however much they talked', async () => {
    const [slow, talker] = [await member(1), await member(2)]
    slow.heard()
    slow.channel.isReading = false
    const relay = testNode(9).identity.text
    let announced = 0
    for (let round = 0; round < 3000; round++) {
      // Beyond what the hub lets one node say at once, so that others are heard too.
      nowMs += 10
      world.nowMs += 10_000
      slow.say({ type: 'ping' })
      talker.say({ type: 'update', relayRtts: { [relay]: round } })
      announced = round
    }
    expect(slow.channel.end).toBeUndefined()
    expect(slow.channel.bufferedAmount).toBeLessThan(128 * 1024)
    slow.heard()
    slow.channel.read()
    expect(slow.heard()).toMatchObject([
      { type: 'nodes', changed: [{ name: 'n2', relayRtts: { [relay]: announced } }] },
      { type: 'pong' },
    ])
  })

  it('is let go when it has taken nothing for a minute', async () => {
    const [slow, talker] = [await member(1), await member(2)]
    slow.channel.isReading = false
    const relay = testNode(9).identity.text
    for (let round = 0; round < 3000 && slow.channel.end === undefined; round++) {
      nowMs += 100
      world.nowMs += 10_000
      talker.say({ type: 'update', relayRtts: { [relay]: round } })
    }
    expect(slow.channel.end).toBe('terminated')
    expect(talker.channel.end).toBeUndefined()
  })
})

it('a member that floods is told to wait', async () => {
  const peer = await member(1)
  peer.heard()
  for (let i = 0; i < 2100; i++) peer.say({ type: 'ping' })
  expect(peer.heard().at(-1)).toMatchObject({ type: 'refused', code: 'rateLimited', retryAfterS: 30 })
  expect([peer.channel.end, server.rateLimited]).toEqual(['closed', 1])
})
