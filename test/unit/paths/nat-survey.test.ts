import { describe, expect, it } from 'vitest'
import { concatBytes } from '../../../src/base/bytes.js'
import { type Endpoint, equalEndpoint } from '../../../src/net/endpoint.js'
import { type Dependence, portChoiceOf } from '../../../src/paths/nat.js'
import { NatSurvey, type SurveyReport, type SurveySend } from '../../../src/paths/nat-survey.js'
import { encodeBindingAnswer } from '../../../src/paths/stun.js'
import { hex } from '../../support/hex.js'
import { ip } from '../../support/inner-packets.js'
import { seededRandom } from '../../support/seeded-random.js'
import { endpoint, SimulatedNat, SimulatedStunServer } from '../../support/simulated-nat.js'

const RTT_MS = 40
const INSIDE = ip('192.168.1.2')
const SERVER = endpoint('198.51.100.1', 3478)
const OTHER = endpoint('198.51.100.2', 3479)
const PAIR = new SimulatedStunServer(SERVER, OTHER)

interface World {
  readonly nat?: SimulatedNat
  readonly servers?: readonly SimulatedStunServer[]
  readonly asked?: readonly Endpoint[]
  /** Whether the n-th datagram gets lost. */
  readonly isLost?: (count: number) => boolean
}

interface Outcome {
  readonly report: SurveyReport
  readonly tookMs: number
  readonly sent: number
}

/** Runs a survey to its end on a clock that jumps. */
function survey(world: World): Outcome {
  const { nat, servers = [PAIR], asked = [SERVER], isLost = () => false } = world
  const random = seededRandom(7)
  const machine = new NatSurvey({ servers: asked, ownAddresses: [INSIDE, ip('203.0.113.50')], random })
  const arrivals: { atMs: number; socket: number; from: Endpoint; bytes: Uint8Array }[] = []
  let nowMs = 1000
  let sent = 0
  const inside = (socket: number): Endpoint => ({
    address: nat === undefined ? ip('203.0.113.50') : INSIDE,
    port: 40_000 + socket * 37,
    scopeId: 0,
  })

  function carry(sends: readonly SurveySend[]): void {
    for (const { socket, to, bytes } of sends) {
      sent += 1
      if (isLost(sent)) continue
      const outside = nat === undefined ? inside(socket) : nat.outbound(inside(socket), to)
      const answer = servers.map((server) => server.answer(outside, to, bytes)).find((one) => one)
      const [from, payload, target] = answer ? [answer.from, answer.bytes, outside] : [outside, bytes, to] // to our own outside, perhaps
      if (answer === undefined && !(nat?.turnsRound ?? false)) continue
      const home = nat === undefined ? target : nat.inbound(target, from)
      if (home === undefined) continue
      const at = [0, 1, 2, ...Array.from({ length: 12 }, (_, i) => i + 3)].find((n) =>
        equalEndpoint(inside(n), home),
      )
      if (at !== undefined) arrivals.push({ atMs: nowMs + RTT_MS, socket: at, from, bytes: payload })
    }
  }

  const first: SurveySend[] = []
  machine.start(nowMs, first)
  carry(first)
  for (let steps = 0; !machine.isDone && steps < 1000; steps++) {
    arrivals.sort((a, b) => a.atMs - b.atMs)
    const next = Math.min(machine.nextDeadlineMs(), arrivals[0]?.atMs ?? Number.POSITIVE_INFINITY)
    nowMs = Math.max(nowMs, next)
    const sends: SurveySend[] = []
    while (arrivals[0] !== undefined && arrivals[0].atMs <= nowMs) {
      const arrival = arrivals.shift()
      if (arrival) machine.handleDatagram(arrival.socket, arrival.from, arrival.bytes, nowMs, sends)
    }
    if (machine.nextDeadlineMs() <= nowMs) machine.handleTimeout(nowMs, sends)
    carry(sends)
  }
  expect(machine.isDone).toBe(true)
  return { report: machine.report(), tookMs: nowMs - 1000, sent }
}

const KINDS: readonly Dependence[] = ['endpointIndependent', 'addressDependent', 'addressAndPortDependent']

describe('a survey of the NAT', () => {
  for (const mapping of KINDS) {
    for (const filtering of KINDS) {
      it(`tells ${mapping} mapping with ${filtering} filtering`, () => {
        const nat = new SimulatedNat({ mapping, filtering, ports: [1024, 65535] })
        expect(survey({ nat }).report).toMatchObject({ mapping, filtering })
      })
    }
  }

  it('takes three round trips and few packets where everybody answers', () => {
    const nat = new SimulatedNat({
      mapping: 'endpointIndependent',
      filtering: 'endpointIndependent',
      ports: 'preserved',
      hairpin: true,
    })
    const { report, tookMs, sent } = survey({ nat })
    expect(report.mapped).toEqual(endpoint('203.0.113.1', 40_000))
    expect(report.hairpin).toBe(true)
    expect(report.servers).toEqual([{ server: SERVER, rttMs: RTT_MS, fault: undefined }])
    expect(tookMs).toBe(3 * RTT_MS)
    expect(sent).toBe(7)
  })

  it('waits for what gets no answer no longer than resends and round trips need', () => {
    const nat = new SimulatedNat({
      mapping: 'endpointIndependent',
      filtering: 'addressAndPortDependent',
      ports: 'preserved',
    })
    expect(survey({ nat }).tookMs).toBe(2 * RTT_MS + 700 + 3 * RTT_MS)
  })

  it('learns the range of ports of a carrier block', () => {
    const nat = new SimulatedNat({
      mapping: 'addressAndPortDependent',
      filtering: 'addressAndPortDependent',
      ports: [5120, 5631],
    })
    const { ports } = survey({ nat }).report
    expect(ports?.kind).toBe('random')
    if (ports?.kind !== 'random') return
    expect(ports.low).toBeLessThanOrEqual(5200)
    expect(ports.high).toBeGreaterThanOrEqual(5550)
    expect(ports.high - ports.low).toBeLessThan(800)
  })

  it.each([
    [50_001, 65_535],
    [1024, 65_535],
  ])('names the known range %i to %i', (low, high) => {
    const nat = new SimulatedNat({
      mapping: 'addressAndPortDependent',
      filtering: 'addressAndPortDependent',
      ports: [low, high],
    })
    expect(survey({ nat }).report.ports).toEqual({ kind: 'random', low, high })
  })

  it('sees that ports go in order', () => {
    const nat = new SimulatedNat({
      mapping: 'addressAndPortDependent',
      filtering: 'addressAndPortDependent',
      ports: 'sequential',
    })
    expect(survey({ nat }).report.ports).toEqual({ kind: 'sequential', step: 1 })
  })

  it('sees the order also where the NAT began anew meanwhile, if there are enough ports to tell', () => {
    const upTo = (last: number): number[] =>
      Array.from({ length: 24 }, (_, i) => last - 47 + 2 * i + (i < 20 ? 0 : -2000))
    expect(portChoiceOf(upTo(22_047))).toEqual({ kind: 'sequential', step: 2 })
    expect(portChoiceOf(upTo(22_047).slice(15))?.kind).toBe('random')
    const twice = [...upTo(22_047), ...upTo(22_047)]
    expect(portChoiceOf(twice)?.kind).toBe('random')
    expect(portChoiceOf([...upTo(22_047), 60_000])?.kind).toBe('random')
  })

  it('sees that there is no NAT', () => {
    const { report } = survey({})
    expect(report).toMatchObject({ mapping: 'none', filtering: 'endpointIndependent' })
    expect(report.hairpin).toBeUndefined()
  })

  it('comes to the same with every third datagram lost', () => {
    const nat = new SimulatedNat({
      mapping: 'addressDependent',
      filtering: 'addressDependent',
      ports: [1024, 65535],
    })
    const { report } = survey({ nat, isLost: (count) => count % 3 === 0 })
    expect(report).toMatchObject({ mapping: 'addressDependent', filtering: 'addressDependent' })
  })

  it('says that it does not know what one server with one address cannot tell', () => {
    const nat = new SimulatedNat({
      mapping: 'endpointIndependent',
      filtering: 'endpointIndependent',
      ports: 'preserved',
    })
    const { report } = survey({ nat, servers: [new SimulatedStunServer(SERVER)] })
    expect(report).toMatchObject({ mapping: 'unknown', filtering: 'unknown' })
    expect(report.mapped).toBeDefined()
  })

  it('needs no server with two addresses if it has two servers', () => {
    const far = endpoint('198.51.100.9', 3478)
    const servers = [new SimulatedStunServer(SERVER), new SimulatedStunServer(far)]
    const nat = new SimulatedNat({
      mapping: 'endpointIndependent',
      filtering: 'addressDependent',
      ports: 'preserved',
    })
    const { report } = survey({ nat, servers, asked: [SERVER, far] })
    expect(report).toMatchObject({ mapping: 'endpointIndependent', filtering: 'unknown' })
  })

  it('ends with nothing, after a bounded number of packets, where UDP is blocked', () => {
    const { report, tookMs, sent } = survey({ servers: [] })
    expect(report).toMatchObject({ mapped: undefined, mapping: 'unknown', isHeard: false })
    expect(report.servers).toEqual([{ server: SERVER, rttMs: undefined, fault: undefined }])
    expect(tookMs).toBeLessThanOrEqual(3000)
    expect(sent).toBe(5)
  })

  it.each([
    ['does not understand', '0101 0008', '0009 0040 00000000', 'what it says is not understood'],
    ['is a refusal', '0111 0008', '0009 0004 00000500', 'it refuses (error 500)'],
  ])('tells silence from an answer that it %s, and asks again', (_what, head, body, fault) => {
    const machine = new NatSurvey({ servers: [SERVER], ownAddresses: [], random: seededRandom(7) })
    const sends: SurveySend[] = []
    machine.start(0, sends)
    const id = sends[0]?.bytes.subarray(4, 20) ?? new Uint8Array(16)
    const answer = concatBytes(hex(head), id, hex(body))
    machine.handleDatagram(0, endpoint('198.51.100.66', 3478), answer, 10, sends)
    expect(machine.report()).toMatchObject({ isHeard: false, servers: [{ fault: undefined }] })
    machine.handleDatagram(0, SERVER, answer, 10, sends)
    expect(machine.report()).toMatchObject({ isHeard: true, mapped: undefined, servers: [{ fault }] })
    machine.handleTimeout(100, sends)
    expect(sends).toHaveLength(2)
    const good = { transactionId: id.subarray(4), mapped: endpoint('203.0.113.1', 40_000) }
    machine.handleDatagram(0, SERVER, encodeBindingAnswer(good), 120, sends)
    expect(machine.report()).toMatchObject({ isHeard: true, servers: [{ rttMs: 120, fault: undefined }] })
  })

  it('takes no answer from whom it did not ask, and none to what it did not ask', () => {
    const machine = new NatSurvey({ servers: [SERVER], ownAddresses: [], random: seededRandom(7) })
    const sends: SurveySend[] = []
    machine.start(0, sends)
    const transactionId = sends[0]?.bytes.subarray(8, 20) ?? new Uint8Array(12)
    const mapped = endpoint('203.0.113.66', 666)
    const forged = encodeBindingAnswer({ transactionId, mapped })
    machine.handleDatagram(0, endpoint('198.51.100.66', 3478), forged, 10, sends)
    machine.handleDatagram(1, SERVER, forged, 10, sends)
    const unasked = encodeBindingAnswer({ transactionId: new Uint8Array(12), mapped })
    machine.handleDatagram(0, SERVER, unasked, 10, sends)
    machine.handleDatagram(0, SERVER, Uint8Array.of(1, 2, 3), 10, sends)
    expect(machine.report().mapped).toBeUndefined()
  })
})
