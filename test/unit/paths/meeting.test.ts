import { describe, expect, it } from 'vitest'
import { answerStun } from '../../../src/hub/stun-answer.js'
import type { HardEffect, HardSearchOptions } from '../../../src/paths/hard-search.js'
import { MEETING_SOCKETS, Meeting } from '../../../src/paths/meeting.js'
import { seededRandom } from '../../support/seeded-random.js'
import { endpoint } from '../../support/simulated-nat.js'

const SERVER = endpoint('198.51.100.1', 3478)
const HALF = MEETING_SOCKETS / 2
type Ports = readonly [former: number, latter: number]

function options(peer: string): HardSearchOptions {
  const remote = endpoint(peer, 40_000)
  return {
    plan: { technique: 'meet', sockets: MEETING_SOCKETS, probes: 0, range: [0, 0] },
    mainSocket: 1,
    peerAddresses: [remote.address],
    peerEndpoints: [remote],
    stunServer: SERVER,
    hasRoom: true,
    isHeld: false,
    ping: new Uint8Array(100),
    random: seededRandom(7),
  }
}

function sendsOf(effects: readonly HardEffect[]): Extract<HardEffect, { kind: 'send' }>[] {
  return effects.flatMap((effect) => (effect.kind === 'send' ? [effect] : []))
}

/** Its questions, as its NAT translates them to these ports, answered. Gives what it tells. */
function ask(meeting: Meeting, ports: readonly number[], sockets = MEETING_SOCKETS): Ports | undefined {
  const effects: HardEffect[] = []
  meeting.handleSockets(
    Array.from({ length: sockets }, (_, i) => -1 - i),
    0,
  )
  meeting.handleTimeout(0, effects)
  const told: HardEffect[] = []
  for (const [i, { path, bytes }] of sendsOf(effects).entries()) {
    const answer = answerStun(bytes, endpoint('203.0.113.1', ports[i] ?? 0), SERVER, [SERVER])
    if (answer !== undefined) meeting.handleDatagram(path, answer.bytes, told)
  }
  return told.flatMap((effect) => (effect.kind === 'tell' ? [effect.ports] : []))[0]
}

/** Ports that it writes to, in order. */
function burst(meeting: Meeting, theirs: Ports): number[] {
  const effects: HardEffect[] = []
  meeting.handlePeerPorts(theirs, 0)
  meeting.handleTimeout(meeting.nextDeadlineMs(), effects)
  return sendsOf(effects).map(({ path }) => path.remote.port)
}

/** Where what leaves from each port is written to. `takenAt`: before this one somebody else takes a port. */
function opened(
  targets: readonly number[],
  firstPort: number,
  step: number,
  takenAt = -1,
): Map<number, number> {
  let port = firstPort
  return new Map(
    targets.map((target, i) => {
      if (i === takenAt) port += step
      const entry = [port, target] as const
      port += step
      return entry
    }),
  )
}

function meetings(ours: ReadonlyMap<number, number>, theirs: ReadonlyMap<number, number>): number {
  return [...ours].filter(([port, target]) => theirs.get(target) === port).length
}

describe('a meeting of two NATs with ports in order', () => {
  const nextPorts = [20_000, 41_234] as const

  /** What both sides write to, given what each has learnt; their NATs' steps. */
  function bothBursts(steps: readonly [number, number]): [number[], number[]] {
    const [a, b] = [
      new Meeting(options('203.0.113.2'), undefined),
      new Meeting(options('203.0.113.1'), undefined),
    ]
    const [toldA, toldB] = ([a, b] as const).map((meeting, i) => {
      const [next, step] = [nextPorts[i] ?? 0, steps[i] ?? 0]
      return ask(meeting, [next - 3 * step, next - 2 * step, next - step])
    })
    if (toldA === undefined || toldB === undefined) throw new Error('nothing was told')
    return [burst(a, toldB), burst(b, toldA)]
  }

  it.each([
    [1, 1],
    [1, 4],
    [2, 3],
  ] as const)('happens twice, however many ports were taken meanwhile: steps %i and %i', (stepA, stepB) => {
    const [fromA, fromB] = bothBursts([stepA, stepB])
    expect([fromA.length, fromB.length]).toEqual([MEETING_SOCKETS, MEETING_SOCKETS])
    for (let takenA = 0; takenA < HALF; takenA++) {
      const a = opened(fromA, nextPorts[0] + takenA * stepA, stepA)
      for (let takenB = 0; takenB < HALF; takenB++) {
        const b = opened(fromB, nextPorts[1] + takenB * stepB, stepB)
        expect(meetings(a, b), `${takenA} and ${takenB} taken`).toBe(2)
      }
    }
  })

  it('does not happen if more were taken', () => {
    const [fromA, fromB] = bothBursts([1, 1])
    const a = opened(fromA, nextPorts[0] + 2 * HALF, 1)
    expect(meetings(a, opened(fromB, nextPorts[1], 1))).toBe(0)
  })

  it('happens once at least if somebody takes a port in the middle of a burst, wherever', () => {
    const [fromA, fromB] = bothBursts([1, 1])
    for (let taken = 0; taken < HALF - 1; taken++) {
      const b = opened(fromB, nextPorts[1] + taken, 1)
      for (let at = 0; at < MEETING_SOCKETS; at++) {
        const a = opened(fromA, nextPorts[0] + taken, 1, at)
        expect(meetings(a, b), `${taken} taken, and one before ${at}`).toBeGreaterThanOrEqual(1)
      }
    }
  })

  it('is told by the smallest step of three sockets, and from a lowest port on', () => {
    const told = (ports: readonly number[]): Ports | undefined =>
      ask(new Meeting(options('203.0.113.2'), undefined), ports)
    const meetAt = (next: number, step: number): Ports => [
      next + step * (HALF - 1),
      next + step * (2 * HALF - 1),
    ]
    expect(told([500, 501, 502].map((port) => port + 1000))).toEqual(meetAt(1503, 1))
    expect(told([2000, 2004, 2006])).toEqual(meetAt(2008, 2))
    expect(told([22_047, 20_000, 20_001])).toEqual(meetAt(20_002, 1))
    expect(told([22_046, 22_047, 20_000])).toEqual(meetAt(20_001, 1))
  })

  it('is not tried where ports are in no order, or at their end, or cannot be asked for', () => {
    for (const ports of [[3000, 2000, 1500], [65_400, 65_500, 65_501].map((port) => port + 10)]) {
      const meeting = new Meeting(options('203.0.113.2'), undefined)
      expect(ask(meeting, ports)).toBeUndefined()
      expect(meeting.isDone).toBe(true)
    }
    const mute = new Meeting({ ...options('203.0.113.2'), stunServer: undefined }, undefined)
    expect([ask(mute, []), mute.isDone]).toEqual([undefined, true])
    const poor = new Meeting(options('203.0.113.2'), undefined)
    expect([ask(poor, [], 2), poor.isDone]).toEqual([undefined, true])
  })

  it('asks again what is not answered, and waits for what the other side tells', () => {
    const meeting = new Meeting(options('203.0.113.2'), undefined)
    const effects: HardEffect[] = []
    meeting.handleSockets([-1, -2, -3, -4], 0)
    meeting.handleTimeout(0, effects)
    const [first] = sendsOf(effects)
    if (first === undefined) throw new Error('nothing was asked')
    const answer = answerStun(first.bytes, endpoint('203.0.113.1', 2000), SERVER, [SERVER])
    meeting.handleDatagram(first.path, answer?.bytes ?? new Uint8Array(0), effects)
    effects.length = 0
    meeting.handleTimeout(meeting.nextDeadlineMs(), effects)
    expect(sendsOf(effects).map(({ path }) => path.socket)).toEqual([-2, -3])
    for (const [i, { path, bytes }] of sendsOf(effects).entries()) {
      const late = answerStun(bytes, endpoint('203.0.113.1', 2001 + i), SERVER, [SERVER])
      meeting.handleDatagram(path, late?.bytes ?? new Uint8Array(0), effects)
    }
    expect(effects.at(-1)).toEqual({ kind: 'tell', ports: [2004, 2006] })
    expect(meeting.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY)
    expect(burst(meeting, [5000, 6000])).toEqual([5000, 5000, 6000, 6000])
  })

  it('keeps its sockets after the last round: the other side may come by later, and answer later still', () => {
    const meeting = new Meeting(options('203.0.113.2'), undefined)
    expect(ask(meeting, [2000, 2001, 2002])).toBeDefined()
    for (const next of [2100, 0]) {
      expect(burst(meeting, [5000, 6000])).toHaveLength(MEETING_SOCKETS)
      const effects: HardEffect[] = []
      const nowMs = meeting.nextDeadlineMs()
      meeting.handleTimeout(nowMs, effects)
      if (next === 0) meeting.handleTimeout(nowMs, effects)
      const questions = sendsOf(effects)
      expect(questions).toHaveLength(next === 0 ? 0 : 3)
      for (const [i, { path, bytes }] of questions.entries()) {
        const answer = answerStun(bytes, endpoint('203.0.113.1', next + i), SERVER, [SERVER])
        meeting.handleDatagram(path, answer?.bytes ?? new Uint8Array(0), effects)
      }
    }
    expect([meeting.isDone, meeting.nextDeadlineMs()]).toEqual([false, Number.POSITIVE_INFINITY])
  })
})
