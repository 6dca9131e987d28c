/**
 * Which relays to be connected to, and over which of them to reach a peer. Pure.
 *
 * What counts is the way that a message takes: from here to the relay, and from there to the peer. So both
 * ends measure, and each tells the others by way of the hub.
 *
 * INVARIANT: two nodes that can reach the same relays share one link at least, the meeting place: else each
 * could choose relays where the other one is not.
 */

import type { RelayRtts } from '../control/messages.js'

/** A relay that this node is connected to, as a way to one peer. */
export interface RelayWay {
  readonly key: string
  readonly rttMs: number
  /** It said lately that it does not know the peer. */
  readonly isGone: boolean
}

/** A relay that this node knows. */
export interface KnownRelay {
  readonly id: string
  /** To connect; undefined if it could not be measured. */
  readonly ms: number | undefined
  readonly isLinked: boolean
}

/** A peer stays where it is unless another relay is faster by both of these: to move may reorder packets. */
const MIN_GAIN = 0.9
/** A link stays unless another is faster by both of these: to move is news for all peers. */
const MIN_LINK_GAIN = 0.8
const MIN_GAIN_MS = 10

/** Best first. `peer`: what the peer said last; `current`: where it is written to by now. */
export function orderRelays<T extends RelayWay>(
  ways: readonly T[],
  peer: RelayRtts,
  current: string | undefined,
): T[] {
  const rank = ({ key, isGone }: T): number => (isGone ? 2 : peer[key] === undefined ? 1 : 0)
  const cost = ({ key, rttMs }: T): number => rttMs + (peer[key] ?? 0)
  const order = ways.toSorted((a, b) => rank(a) - rank(b) || cost(a) - cost(b))
  const [best] = order
  const before = order.find(({ key }) => key === current)
  if (best === undefined || before === undefined || rank(before) !== rank(best)) return order
  if (isClearlyFaster(cost(best), cost(before), MIN_GAIN)) return order
  return [before, ...order.filter((way) => way !== before)]
}

/** The fastest one; `current` unless another is clearly faster. */
export function chooseHome(rtts: RelayRtts, current: string | null): string | null {
  const [best] = Object.entries(rtts).toSorted(([, a], [, b]) => a - b)
  if (best === undefined) return null
  const before = current === null ? undefined : rtts[current]
  return before === undefined || isClearlyFaster(best[1], before, MIN_LINK_GAIN) ? best[0] : current
}

/** `relays`: as the hub lists them, to everybody alike. Gives the `count` best, and the meeting place. */
export function chooseLinks(relays: readonly KnownRelay[], count: number): string[] {
  const cost = ({ ms = Number.POSITIVE_INFINITY, isLinked }: KnownRelay): number =>
    isLinked ? Math.min(MIN_LINK_GAIN * ms, ms - MIN_GAIN_MS) : ms
  const best = relays.toSorted((a, b) => compare(cost(a), cost(b))).slice(0, count)
  const meetingPlace = relays.find(({ ms }) => ms !== undefined) ?? relays[0]
  const chosen = meetingPlace === undefined || best.includes(meetingPlace) ? best : [...best, meetingPlace]
  return chosen.map(({ id }) => id)
}

function isClearlyFaster(ms: number, beforeMs: number, minGain: number): boolean {
  return ms < minGain * beforeMs && ms + MIN_GAIN_MS < beforeMs
}

/** Infinities are alike, so that what was not measured stays in the order of the list. */
function compare(a: number, b: number): number {
  return a === b ? 0 : a - b
}
