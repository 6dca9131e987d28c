import { describe, expect, it } from 'vitest'
import { answerStun } from '../../../src/hub/stun-answer.js'
import { type Endpoint, equalEndpoint } from '../../../src/net/endpoint.js'
import { keepaliveMs, MAX_KEEPALIVE_MS } from '../../../src/paths/keepalive.js'
import { LifetimeProbe, type LifetimeSend } from '../../../src/paths/lifetime-probe.js'
import { decodeStun, encodeBindingAnswer, responsePort } from '../../../src/paths/stun.js'
import { seededRandom } from '../../support/seeded-random.js'
import { endpoint, type MappingLifetime, SimulatedNat } from '../../support/simulated-nat.js'

const SERVER = endpoint('198.51.100.1', 3478)
const SILENT = endpoint('198.51.100.7', 3478)
const OLD = endpoint('198.51.100.8', 3478)
const HALF_RTT_MS = 20

/** One probe behind one NAT, and servers: one that can do it, one that says nothing, one that does not know how. */
class ProbeWorld {
  nowMs = 1000
  readonly probe: LifetimeProbe
  readonly sent: { readonly atMs: number; readonly socket: number; readonly isElsewhere: boolean }[] = []
  /** Whether the n-th datagram on the wire gets lost. */
  isLost: (count: number) => boolean = () => false
  readonly #nat: SimulatedNat
  readonly #queue: { readonly atMs: number; readonly deliver: () => void }[] = []
  #count = 0

  constructor(
    lifetime: MappingLifetime,
    servers: readonly Endpoint[] = [SERVER],
    mapping: 'endpointIndependent' | 'addressAndPortDependent' = 'endpointIndependent',
  ) {
    const filtering = 'addressAndPortDependent'
    this.#nat = new SimulatedNat({ mapping, filtering, ports: [30_000, 60_000], lifetime }, () => this.nowMs)
    this.probe = new LifetimeProbe({ servers, random: seededRandom(5) })
  }

  /** Runs it to its end; gives what it found, in s, and how long it took. */
  run(): { readonly lifetimeS: number | undefined; readonly tookS: number } {
    const startMs = this.nowMs
    this.#turn((sends) => this.probe.start(this.nowMs, sends))
    while (!this.probe.isDone) {
      this.#queue.sort((a, b) => a.atMs - b.atMs)
      const nextMs = Math.min(this.#queue[0]?.atMs ?? Number.POSITIVE_INFINITY, this.probe.nextDeadlineMs())
      if (nextMs === Number.POSITIVE_INFINITY) throw new Error('it waits for nothing')
      this.nowMs = Math.max(this.nowMs, nextMs)
      while ((this.#queue[0]?.atMs ?? Number.POSITIVE_INFINITY) <= this.nowMs) this.#queue.shift()?.deliver()
      this.#turn((sends) => this.probe.handleTimeout(this.nowMs, sends))
    }
    const { lifetimeMs } = this.probe
    return {
      lifetimeS: lifetimeMs === undefined ? undefined : lifetimeMs / 1000,
      tookS: Math.round((this.nowMs - startMs) / 1000),
    }
  }

  #turn(input: (sends: LifetimeSend[]) => void): void {
    const sends: LifetimeSend[] = []
    input(sends)
    for (const send of sends) this.#carry(send)
  }

  #carry({ socket, to, bytes }: LifetimeSend): void {
    const message = decodeStun(bytes)
    const isElsewhere = message !== undefined && responsePort(message) !== undefined
    this.sent.push({ atMs: this.nowMs, socket, isElsewhere })
    const outside = this.#nat.outbound(endpoint('192.168.1.2', 40_000 + socket), to)
    if (this.isLost(this.#count++)) return
    this.#at(() => {
      const answer = this.#answer(bytes, outside, to)
      if (answer === undefined || this.isLost(this.#count++)) return
      this.#at(() => {
        const inside = this.#nat.inbound(answer.to, to)
        if (inside === undefined) return
        this.#turn((sends) =>
          this.probe.handleDatagram(inside.port - 40_000, to, answer.bytes, this.nowMs, sends),
        )
      })
    })
  }

  #answer(bytes: Uint8Array, from: Endpoint, to: Endpoint): { to: Endpoint; bytes: Uint8Array } | undefined {
    if (equalEndpoint(to, SERVER)) return answerStun(bytes, from, to, [SERVER])
    const transactionId = decodeStun(bytes)?.transactionId
    if (!equalEndpoint(to, OLD) || transactionId === undefined) return undefined
    return { to: from, bytes: encodeBindingAnswer({ transactionId, mapped: from }) }
  }

  #at(deliver: () => void): void {
    this.#queue.push({ atMs: this.nowMs + HALF_RTT_MS, deliver })
  }
}

function lasting(s: number, youngS = s): MappingLifetime {
  return { ms: 1000 * s, youngMs: 1000 * youngS }
}

describe('the lifetime of a mapping', () => {
  it.each([
    [20, undefined],
    [32, 30],
    [65, 60],
    [120, 110],
    [350, 110],
  ])('of %d s is found to be %s s', (s, found) => {
    expect(new ProbeWorld(lasting(s)).run().lifetimeS).toBe(found)
    expect(new ProbeWorld(lasting(s), [SERVER], 'addressAndPortDependent').run().lifetimeS).toBe(found)
  })

  it('is that of a mapping in use, where the NAT takes time to trust one', () => {
    expect(new ProbeWorld(lasting(120, 30)).run().lifetimeS).toBe(110)
    expect(new ProbeWorld(lasting(300, 15)).run().lifetimeS).toBe(110)
  })

  it('is found in the sum of all silences, with few datagrams', () => {
    const world = new ProbeWorld(lasting(300))
    expect(world.run().tookS).toBeLessThan(30 + 60 + 110 + 3 * 4)
    expect(world.sent).toHaveLength(3 * 3)
  })

  it('is kept open by nothing that was sent meanwhile', () => {
    const world = new ProbeWorld(lasting(300))
    world.run()
    for (const socket of [1, 2, 3]) {
      const own = world.sent.filter((send) => send.socket === socket)
      expect(own.every(({ isElsewhere }) => !isElsewhere)).toBe(true)
      const lastMs = own.at(-1)?.atMs ?? 0
      const asked = world.sent.find(({ atMs, isElsewhere }) => isElsewhere && atMs > lastMs)
      expect((asked?.atMs ?? 0) - lastMs).toBeGreaterThanOrEqual([30_000, 60_000, 110_000][socket - 1] ?? 0)
      expect(asked?.socket).toBe(0)
    }
  })

  it('is found when datagrams are lost, even all of one try', () => {
    for (let every = 3; every < 8; every++) {
      const world = new ProbeWorld(lasting(120))
      world.isLost = (count) => count % every === 0
      expect(world.run().lifetimeS).toBe(110)
    }
    const world = new ProbeWorld(lasting(120))
    // The first two questions with their answers, then the three that ask for an answer elsewhere.
    world.isLost = (count) => count >= 4 && count < 7
    expect(world.run().lifetimeS).toBe(110)
  })

  it('is asked of the next server where one is silent, or does not know how', () => {
    expect(new ProbeWorld(lasting(120), [SILENT, OLD, SERVER]).run().lifetimeS).toBe(110)
  })

  it('stays unknown where no server can tell', () => {
    const { lifetimeS, tookS } = new ProbeWorld(lasting(120), [SILENT, OLD]).run()
    expect(lifetimeS).toBeUndefined()
    expect(tookS).toBeLessThan(45)
    expect(new ProbeWorld(lasting(120), []).run()).toEqual({ lifetimeS: undefined, tookS: 0 })
  })

  it('is not believed of answers that nobody was asked for', () => {
    const probe = new LifetimeProbe({ servers: [SERVER], random: seededRandom(5) })
    const sends: LifetimeSend[] = []
    probe.start(0, sends)
    const transactionId =
      decodeStun(sends[0]?.bytes ?? new Uint8Array(0))?.transactionId ?? new Uint8Array(12)
    const mapped = endpoint('203.0.113.1', 40_000)
    const before = probe.nextDeadlineMs()
    const answer = encodeBindingAnswer({ transactionId, mapped })
    const unasked = encodeBindingAnswer({ transactionId: new Uint8Array(12), mapped })
    probe.handleDatagram(1, SILENT, answer, 10, sends)
    probe.handleDatagram(2, SERVER, answer, 10, sends)
    probe.handleDatagram(1, SERVER, unasked, 10, sends)
    expect([probe.nextDeadlineMs(), sends.length]).toEqual([before, 1])
    probe.handleDatagram(1, SERVER, answer, 10, sends)
    expect(probe.nextDeadlineMs()).toBe(10 + 3000)
  })
})

describe('the interval of keepalives', () => {
  it.each([
    [undefined, 14_000],
    [30_000, 24_000],
    [110_000, 88_000],
    [600_000, MAX_KEEPALIVE_MS],
    [15_000, 14_000],
    [10_000, 8000],
  ])('for a lifetime of %s ms is %d ms', (lifetimeMs, expected) => {
    expect(keepaliveMs(lifetimeMs, 14_000)).toBe(expected)
  })
})
