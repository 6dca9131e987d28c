import { beforeEach, describe, expect, it } from 'vitest'
import { formatEndpoint } from '../../../src/net/endpoint.js'
import { formatIp, type IpAddress } from '../../../src/net/ip.js'
import type { PortChoice } from '../../../src/paths/nat.js'
import type { ReflexiveEffect } from '../../../src/paths/reflexive.js'
import { type PortSurveyRequest, Whereabouts } from '../../../src/paths/whereabouts.js'
import { prefixOf } from '../../support/control.js'
import { ip } from '../../support/inner-packets.js'
import { seededRandom } from '../../support/seeded-random.js'
import { endpoint, SimulatedStunServer } from '../../support/simulated-nat.js'

const SERVERS = [endpoint('198.51.100.1', 3478), endpoint('198.51.100.2', 3479)] as const
const HOME = '203.0.113.1'
const CAFE = '203.0.113.50'
const SEQUENTIAL: PortChoice = { kind: 'sequential', step: 1 }
const RANDOM: PortChoice = { kind: 'random', low: 2000, high: 60_000 }

let whereabouts: Whereabouts
let nowMs: number
/** Addresses that lead into an overlay. */
let inside: Set<string>
const server = new SimulatedStunServer(...SERVERS)

/** Behind a NAT with this address that gives each server another port. */
function moveTo(address: string): void {
  const effects: ReflexiveEffect[] = []
  whereabouts.setAddresses([prefixOf('192.168.1.2/24')], nowMs, effects)
  wake(address, effects)
}

/** Whatever is asked is answered at once. */
function wake(address: string, effects: ReflexiveEffect[] = []): void {
  whereabouts.handleTimeout(nowMs, effects)
  for (const [i, { path, bytes }] of effects.entries()) {
    const answer = server.answer(endpoint(address, 40_000 + i), path.remote, bytes)
    if (answer !== undefined) whereabouts.handleAnswer(path, answer.bytes, false)
  }
}

function surveyAt(address: string): PortSurveyRequest {
  moveTo(address)
  const survey = whereabouts.takePortSurvey()
  if (survey === undefined) throw new Error('no survey')
  return survey
}

beforeEach(() => {
  nowMs = 1000
  inside = new Set()
  const isOverlay = (address: IpAddress): boolean => inside.has(formatIp(address))
  whereabouts = new Whereabouts({ random: seededRandom(1), mtu: () => 1420, isOverlay })
  whereabouts.setSockets({ v4: 1, v6: undefined, port: 40_001 }, nowMs, [])
  whereabouts.setServers(SERVERS, nowMs, [])
})

describe('how the NAT chooses ports', () => {
  it('is of the network that was asked, though the answer comes when this is another one', () => {
    const home = surveyAt(HOME)
    const cafe = surveyAt(CAFE)
    expect(whereabouts.setPortChoice(cafe.seenAs, SEQUENTIAL)).toBe(true)
    expect(whereabouts.setPortChoice(home.seenAs, RANDOM)).toBe(false)
    const { isSequential } = whereabouts.position
    moveTo(HOME)
    expect(whereabouts.takePortSurvey()).toBeUndefined()
    whereabouts.handleTimeout(nowMs, [])
    expect([isSequential, whereabouts.position.ports]).toEqual([true, [RANDOM.low, RANDOM.high]])
  })

  it('is asked again of a network of which it could not be found out', () => {
    const home = surveyAt(HOME)
    whereabouts.setPortChoice(home.seenAs, undefined)
    surveyAt(CAFE)
    expect(surveyAt(HOME)).toEqual(home)
  })
})

it('a full router is spared for half an hour, then looked at again', () => {
  moveTo(HOME)
  whereabouts.setFull(100)
  wake(HOME)
  nowMs += 30 * 60_000 - 1
  wake(HOME)
  expect(whereabouts.position.maxSessions).toBe(60)
  nowMs += 1
  wake(HOME)
  const { maxSessions, candidates } = whereabouts.position
  expect(maxSessions).toBeUndefined()
  // It is the same network all the time.
  expect(candidates.map(({ endpoint }) => formatIp(endpoint.address))).toContain(HOME)
})

describe('what a router has left', () => {
  it.each([
    [116, 1, 58],
    [116, 2, 29],
    [58, 1, 10],
    [48, 1, 0],
    [3, 1, 0],
  ])('of %i sessions, each of %i searches may begin %i', (room, searches, each) => {
    moveTo(HOME)
    expect(whereabouts.setRoom(room, searches)).toBe(each)
    expect(whereabouts.position.maxSessions).toBeUndefined()
  })

  it('is known of a network only if there is no lack, and of no other network', () => {
    moveTo(HOME)
    expect(whereabouts.setRoom(undefined, 1)).toBeUndefined()
    expect(whereabouts.position.maxSessions).toBeUndefined()
    expect(whereabouts.setRoom(Number.POSITIVE_INFINITY, 3)).toBe(Number.POSITIVE_INFINITY)
    expect(whereabouts.position.maxSessions).toBe(Number.POSITIVE_INFINITY)
    moveTo(CAFE)
    expect(whereabouts.position.maxSessions).toBeUndefined()
  })
})

describe("the router's own address", () => {
  const mapped = (): string[] =>
    whereabouts.position.candidates
      .filter(({ kind }) => kind === 'mapped')
      .map(({ endpoint }) => formatEndpoint(endpoint))

  it.each([
    ['100.64.0.2', ['203.0.113.1:5000', '100.64.0.2:5000']],
    ['203.0.113.77', ['203.0.113.1:5000']],
  ])(
    'is named beside the one that servers see where a carrier translates it once more: %s',
    (router, expected) => {
      moveTo(HOME)
      whereabouts.setRouterAddress(ip(router))
      expect(mapped()).toEqual([])
      whereabouts.setMappedPort(5000)
      expect(mapped()).toEqual(expected)
      inside.add(router)
      whereabouts.handleRoutesChanged(nowMs, [])
      expect(mapped()).toEqual(['203.0.113.1:5000'])
      whereabouts.setMappedPort(undefined)
      expect(mapped()).toEqual([])
    },
  )
})

describe('an address inside an overlay', () => {
  const named = (): string[] =>
    whereabouts.position.candidates.map(({ endpoint }) => formatIp(endpoint.address))

  it('is named by nobody: not as an own one, nor because a server sees it', () => {
    inside.add('100.70.0.1').add(HOME)
    whereabouts.setAddresses([prefixOf('100.70.0.1/16'), prefixOf('192.168.1.2/24')], nowMs, [])
    moveTo(HOME)
    expect(named()).toEqual(['192.168.1.2'])
  })

  it('is named no more once a route leads there, and again when none does', () => {
    whereabouts.setAddresses([prefixOf('192.168.1.2/24')], nowMs, [])
    moveTo(HOME)
    inside.add(HOME)
    expect(whereabouts.handleRoutesChanged(nowMs, [])).toBe(true)
    expect(named()).toEqual(['192.168.1.2'])
    inside.clear()
    expect(whereabouts.handleRoutesChanged(nowMs, [])).toBe(true)
    expect(named()).toContain(HOME)
    expect(whereabouts.handleRoutesChanged(nowMs, [])).toBe(false)
  })

  it('of a server is asked no more', () => {
    for (const { address } of SERVERS) inside.add(formatIp(address))
    const effects: ReflexiveEffect[] = []
    whereabouts.handleRoutesChanged(nowMs, effects)
    expect([effects, whereabouts.servers]).toEqual([[], []])
  })
})

it.each(['169.254.1.2/16', 'fe80::2/64', '100.100.100.200/32'])('%s is not named to others', (own) => {
  whereabouts.setAddresses([prefixOf(own)], nowMs, [])
  expect(whereabouts.position.candidates).toEqual([])
})
