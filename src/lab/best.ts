/**
 * What the best that is known gets out of a pair of NATs, once each side knows the other's candidates: in how
 * many of a hundred tries there is a direct path, and after how many round trips, or how much time where it
 * is found by chance. From our own measurements of each technique alone; loss is not in it.
 */

import type { RouterKind } from './routers.js'
import type { MappingProtocol } from './site.js'

/** To those beyond it, a Linux router or one behind a carrier is one that restricts by port. */
type NatClass = Exclude<RouterKind, 'answering' | 'carrierDouble'>

interface Best {
  readonly share: string
  /** A number of round trips, or in words. */
  readonly time?: number | string
}

export interface BestOptions {
  readonly rttMs: number
  readonly hasV6?: boolean | undefined
  /** The left router maps ports on request. */
  readonly mapping?: MappingProtocol | undefined
}

/** From the easiest to the hardest. */
const ORDER: readonly NatClass[] = [
  'open',
  'fullCone',
  'addressRestricted',
  'portRestricted',
  'addressDependent',
  'symmetricRandom',
  'symmetricSequential',
  'carrierBlock',
]
const always = (time: number): Best => ({ share: '100 %', time })
const RELAY: Best = { share: 'relay' }

/** Of each with those that are no harder, in the order above. */
const TABLE: Readonly<Record<NatClass, readonly Best[]>> = {
  open: [always(0.5)],
  fullCone: [always(0.5), always(0.5)],
  addressRestricted: [always(1), always(1), always(1)],
  portRestricted: [always(1), always(1), always(1), always(1)],
  addressDependent: [
    always(1),
    always(1.5),
    always(1.5),
    { share: '98–99.9 %', time: '0.3–1 s' },
    { share: 'about 100 %', time: '0.3–1 s' },
  ],
  symmetricRandom: [
    always(1),
    always(1.5),
    always(1.5),
    { share: '98–99.9 %', time: '0.3–1 s' },
    { share: '98–99.9 %', time: '0.3–1 s' },
    // With ranges as wide as all ports; what helps is a mapping, IPv6 or TCP.
    RELAY,
  ],
  symmetricSequential: [
    always(1),
    always(1.5),
    always(1.5),
    { share: 'about 100 %', time: 2.5 },
    { share: '98–99.9 %', time: '0.3–1 s' },
    RELAY,
    { share: 'about 100 %', time: 2.6 },
  ],
  carrierBlock: [
    always(1),
    always(1.5),
    always(1.5),
    { share: '99 %', time: '0.2 s' },
    { share: '98–99.9 %', time: '0.3–1 s' },
    { share: 'relay, or by chance', time: '9 s' },
    RELAY,
    // A carrier that lets a port serve one destination only gives 22 to 46 % a round.
    { share: '99 %', time: '0.6 s' },
  ],
}

/** In words. */
export function bestAchievable(left: RouterKind, right: RouterKind, options: BestOptions): string {
  const { share, time } = options.hasV6 === true ? always(1) : bestOf(left, right, options)
  if (time === undefined) return share
  return `${share}, ${typeof time === 'string' ? time : `${Math.round(time * options.rttMs)} ms`}`
}

function bestOf(left: RouterKind, right: RouterKind, { mapping }: BestOptions): Best {
  const places = [mapping === undefined ? classOf(left) : 'fullCone', classOf(right)] as const
  const [easier = 0, harder = 0] = places.map((kind) => ORDER.indexOf(kind)).sort((a, b) => a - b)
  return TABLE[ORDER[harder] ?? 'open'][easier] ?? RELAY
}

function classOf(kind: RouterKind): NatClass {
  return kind === 'answering' || kind === 'carrierDouble' ? 'portRestricted' : kind
}
