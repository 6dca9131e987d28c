/**
 * Which technique gets through NATs that choose another port for each destination, where pings to known endpoints
 * cannot meet: one for each pair of NATs, chosen by what both sides said of themselves. Pure.
 *
 * | here | there | what is done here |
 * | easy | hard, few ports known | sweep: one ping to each of them |
 * | easy | hard, random | spray: pings to random ports of its range, while it fans |
 * | hard, random | easy | fan: many sockets, one ping of each, so that many of our ports are open |
 * | hard, in order | easy | bracket: learns the ports before and after that of a fresh socket, tells them |
 * | hard, in order | the same | meet: both tell ports that they will come by, and write there (meeting.ts) |
 * | hard, small range | the same | both fan and spray at once |
 * | by address | any other hard one | as if that were easy: one mapping here serves all ports there |
 * | by address | the same | cross: both fan from many sockets, and spray from one |
 * | easy or not known | the same, and plain pings failed | fresh: another port, told to the peer (fresh-port.ts) |
 * | not known | the same, and that failed too | cross, by whoever may be hard |
 *
 * Where an easy NAT and a hard one have failed once, the easy side may be the cause: a router that answers what nobody
 * asked for lets its data socket's new flows leave from other ports than servers have seen. So from then on it writes
 * from a fresh socket as well, and tells the port of that, which is what the hard side aims at if it hears of it in time.
 *
 * M open ports against N probes in a range of R meet with probability 1 - exp(-M N / R).
 */

import { BRACKET_SOCKETS } from './bracket.js'
import { FRESH_SOCKETS } from './fresh-port.js'
import { MEETING_SOCKETS } from './meeting.js'
import type { Mapping, PortChoice } from './nat.js'

/** M N / R of the techniques by chance: 1 - exp(-4.6) is 99 %. */
const EXPECTED_MEETINGS = 4.6
const MAX_SOCKETS = 256
/** A range so small that fewer sockets do; a carrier may give no more. */
const SMALL_RANGE = 4096
const SMALL_RANGE_SOCKETS = 64
const MAX_PROBES = 1180
/** Both ranges small: so many probes of each side. */
const BLOCK_PROBES = 1400
/** The geometric mean of both ranges: above it chance is too small for the budget. */
const MAX_BLOCK_RANGE = 800
/** Ports learnt by a bracket are fewer, unless the NAT is very busy. */
export const MAX_SWEEP = 96
/** Sessions that any router keeps beside those of its owners. */
const HARMLESS_SESSIONS = 64
const FIRST_PORT = 1024
const LAST_PORT = 65_535

type Technique = 'fresh' | 'sweep' | 'spray' | 'fan' | 'bracket' | 'meet' | 'blocks' | 'cross'

export interface HardSide {
  readonly mapping: Mapping
  /** Of external ports: a range, or nothing known. */
  readonly ports: readonly [low: number, high: number]
  readonly isSequential: boolean
}

export interface HardPlan {
  readonly technique: Technique
  readonly sockets: number
  /** Probes to random ports of `range`, or to all of it. */
  readonly probes: number
  readonly range: readonly [low: number, high: number]
  /** Where the peer is to be met, if it has told; good for one meeting. */
  readonly meetAt?: readonly [former: number, latter: number] | undefined
  /** The easy side, whichever it is, writes from a fresh port and tells it. */
  readonly isAnew?: boolean
}

/**
 * Undefined if neither side needs it, one has not surveyed its ports yet, or nothing has a chance. `failures`: of what
 * follows from what the sides say of themselves, plain pings among it if neither is hard.
 */
export function planHardSearch(own: HardSide, peer: HardSide, failures = 0): HardPlan | undefined {
  if (!isSurveyed(own) || !isSurveyed(peer)) return undefined
  const range = rangeOf(peer)
  if (own.isSequential && peer.isSequential) {
    const meetAt = isKnown(peer.ports) ? peer.ports : undefined
    return { technique: 'meet', sockets: MEETING_SOCKETS, probes: 0, range, meetAt }
  }
  const isEitherHard = isHard(own.mapping) || isHard(peer.mapping)
  const isGuessing = failures > (isEitherHard ? 0 : 1)
  if (isGuessing && (own.mapping === 'unknown' || peer.mapping === 'unknown')) return planByGuess(own, peer)
  if (!isEitherHard) return planAnew(peer, failures)
  const isAnew = failures > 0
  if (!isHard(own.mapping)) return isAnew ? planTowardsAnew(peer) : planTowards(peer)
  if (!isHard(peer.mapping))
    return { ...planFrom(own, range), ...(isAnew && { isAnew, meetAt: onePort(peer) }) }
  const [isOwnByAddress, isPeerByAddress] = [isByAddress(own), isByAddress(peer)]
  if (isOwnByAddress && isPeerByAddress) return planCrossing(own, peer)
  if (isOwnByAddress) return planFrom(own, range)
  if (isPeerByAddress) return planTowards(peer)
  const meanSize = Math.sqrt(sizeOf(rangeOf(own)) * sizeOf(range))
  if (own.isSequential || peer.isSequential || meanSize > MAX_BLOCK_RANGE) return undefined
  return { technique: 'blocks', sockets: MAX_SOCKETS, probes: BLOCK_PROBES, range }
}

/** Both easy. What the peer has told of a port of its own is to be used, whatever we think. */
function planAnew({ ports }: HardSide, failures: number): HardPlan | undefined {
  const meetAt = onePort({ ports })
  if (failures === 0 && meetAt === undefined) return undefined
  return { technique: 'fresh', sockets: FRESH_SOCKETS, probes: 0, range: ports, meetAt }
}

/** The peer is as good as easy: our ports are to be opened, or told. */
function planFrom(own: HardSide, range: HardPlan['range']): HardPlan {
  return own.isSequential
    ? { technique: 'bracket', sockets: BRACKET_SOCKETS, probes: 0, range }
    : { technique: 'fan', sockets: socketsFor(own), probes: 0, range }
}

/** We are as good as easy: its ports are to be found. */
function planTowards(peer: HardSide): HardPlan | undefined {
  if (isKnown(peer.ports) && sizeOf(peer.ports) <= MAX_SWEEP) {
    const probes = sizeOf(peer.ports)
    return { technique: 'sweep', sockets: 0, probes, range: peer.ports, meetAt: peer.ports }
  }
  // Its bracket comes with a call of its own.
  if (peer.isSequential) return undefined
  return { technique: 'spray', sockets: 0, probes: probesFor(peer, 1), range: rangeOf(peer) }
}

/** Begun before the peer has told ports: it looks for them only once it knows which port of ours to write to. */
function planTowardsAnew(peer: HardSide): HardPlan | undefined {
  const plan = planTowards(peer)
  const fresh = { sockets: FRESH_SOCKETS, isAnew: true }
  return plan === undefined
    ? { technique: 'sweep', probes: 0, range: rangeOf(peer), ...fresh }
    : { ...plan, ...fresh }
}

/** Either side may find a port of the other's: half of the probes of each do. */
function planCrossing(own: HardSide, peer: HardSide): HardPlan {
  return { technique: 'cross', sockets: socketsFor(own), probes: probesFor(peer, 0.5), range: rangeOf(peer) }
}

/** A server with one address sees nothing of mappings that depend on the address. */
function planByGuess(own: HardSide, peer: HardSide): HardPlan {
  const [isOwnHard, isPeerHard] = [own, peer].map(({ mapping }) => mapping === 'unknown' || isHard(mapping))
  return {
    technique: 'cross',
    sockets: isOwnHard ? socketsFor(own) : 0,
    probes: isPeerHard ? probesFor(peer, 1) : 0,
    range: rangeOf(peer),
  }
}

/** Whether it is to be known before how many sessions the router here has left. */
export function needsRoom({ sockets, probes }: HardPlan): boolean {
  return Math.max(sockets, probes) > HARMLESS_SESSIONS
}

/** Each socket of a fan is a session, and each probe to another port. */
export function planWithin(plan: HardPlan, sessions: number): HardPlan {
  return { ...plan, sockets: Math.min(plan.sockets, sessions), probes: Math.min(plan.probes, sessions) }
}

export function isHard(mapping: Mapping): boolean {
  return mapping === 'addressDependent' || mapping === 'addressAndPortDependent'
}

/** What a call says of our ports: a range if they are random, all if nothing is known of them; none if in order. */
export function portsToTell(choice: PortChoice | undefined): readonly [low: number, high: number] {
  if (choice?.kind === 'sequential') return [0, 0]
  return choice === undefined ? [FIRST_PORT, LAST_PORT] : [choice.low, choice.high]
}

export function sizeOf([low, high]: readonly [low: number, high: number]): number {
  return high - low + 1
}

/** Whether a side has said by now how its ports are chosen. */
function isSurveyed(side: HardSide): boolean {
  return !isHard(side.mapping) || side.isSequential || isKnown(side.ports)
}

function isByAddress({ mapping }: HardSide): boolean {
  return mapping === 'addressDependent'
}

function socketsFor(side: HardSide): number {
  return sizeOf(rangeOf(side)) <= SMALL_RANGE ? SMALL_RANGE_SOCKETS : MAX_SOCKETS
}

/** Into the ports that it opens meanwhile. `share`: of what would do if nothing else was tried. */
function probesFor(side: HardSide, share: number): number {
  const needed = Math.ceil((share * EXPECTED_MEETINGS * sizeOf(rangeOf(side))) / socketsFor(side))
  return Math.min(MAX_PROBES, needed)
}

/** That was told. */
function onePort({ ports }: Pick<HardSide, 'ports'>): HardSide['ports'] | undefined {
  return isKnown(ports) && sizeOf(ports) === 1 ? ports : undefined
}

/** One port is no range, but one that was told. */
function rangeOf({ ports }: HardSide): readonly [low: number, high: number] {
  return isKnown(ports) && sizeOf(ports) > 1 ? ports : [FIRST_PORT, LAST_PORT]
}

function isKnown([low, high]: readonly [low: number, high: number]): boolean {
  return low >= FIRST_PORT && high >= low
}
