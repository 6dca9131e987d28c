/** Pairs of routers, and how two nodes behind them get to each other. */

import type { WhyReport } from '../daemon/local-api-schema.js'
import { bestAchievable } from './best.js'
import { Internet, type InternetOptions } from './internet.js'
import { LabNetwork } from './network.js'
import type { Fault, RouterKind } from './routers.js'
import type { MappingProtocol } from './site.js'

export interface PairResult {
  readonly pair: string
  readonly tries: number
  readonly direct: number
  /** Ms from the call to the first answer, of those that got through; sorted. */
  readonly timesMs: readonly number[]
  /** Both sides together, the most of one try. */
  readonly probes: number
  readonly kinds: readonly string[]
  readonly codes: readonly string[]
  /** How it got through, or why it did not; each once. */
  readonly techniques: readonly string[]
  /** What could be reached, in words. */
  readonly best: string
}

export interface PairOptions extends InternetOptions {
  readonly tries: number
  readonly hasV6?: boolean
  /** By which the left router maps ports on request. */
  readonly mapping?: MappingProtocol | undefined
  /** So many flows of others begin behind the right router all the time. */
  readonly foreignFlowsPerS?: number
  /** Of the right router. */
  readonly fault?: Fault
  /** The hub answers STUN at one address. */
  readonly hasOneAddress?: boolean
}

/** Waits so long for a direct path in one try. */
const PATIENCE_MS = 6000
const SETTLE_MS = 1000

export async function measurePair(
  left: RouterKind,
  right: RouterKind,
  options: PairOptions,
): Promise<PairResult> {
  const internet = await Internet.open(options)
  try {
    const network = await LabNetwork.start(internet, { hasOneAddress: options.hasOneAddress ?? false })
    const v6 = { hasV6: options.hasV6 ?? false }
    const a = await network.addNode(internet.addSite(left, v6), 'a')
    if (options.mapping !== undefined) internet.startMapping(a.site, options.mapping)
    const b = await network.addNode(internet.addSite(right, v6), 'b')
    if (options.fault !== undefined) internet.setFault(b.site, options.fault)
    const reports: [WhyReport, WhyReport][] = []
    for (let i = 0; i < options.tries; i++) {
      internet.forget(a.site)
      internet.forget(b.site)
      const stopFlows = internet.startFlows(b.site, options.foreignFlowsPerS ?? 0)
      await Promise.all([a.up(), b.up()])
      await Promise.all([a.untilKnown('b'), b.untilKnown('a')])
      // Surveys of both NATs are done by now, as on any machine that was up before it was asked.
      await settle()
      await a.ping('b', '--until-direct', '--count', String(PATIENCE_MS / 100))
      reports.push([await a.why('b'), await b.why('a')])
      await Promise.all([a.down(), b.down()])
      stopFlows()
    }
    return {
      ...summarize(reports),
      pair: `${left} × ${right}${circumstances(options)}`,
      best: bestAchievable(left, right, options),
    }
  } finally {
    internet.close()
  }
}

function circumstances({
  hasV6,
  mapping,
  lossPercent,
  foreignFlowsPerS = 0,
  hasOneAddress,
  fault,
}: PairOptions): string {
  const words = [
    hasV6 === true ? ', IPv6' : '',
    mapping === undefined ? '' : `, ${mapping}`,
    foreignFlowsPerS > 0 ? `, ${foreignFlowsPerS} foreign flows/s` : '',
    hasOneAddress === true ? ', one STUN address' : '',
    fault === undefined ? '' : `, ${fault}`,
    lossPercent > 0 ? `, ${lossPercent} % loss` : '',
  ]
  return words.join('')
}

async function settle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
}

function summarize(reports: readonly [WhyReport, WhyReport][]): Omit<PairResult, 'pair' | 'best'> {
  const direct = reports.filter(([report]) => report.kind !== 'relay')
  return {
    tries: reports.length,
    direct: direct.length,
    timesMs: direct.flatMap(([report]) => report.searchMs ?? []).sort((x, y) => x - y),
    probes: Math.max(0, ...reports.map(([a, b]) => a.probes + b.probes)),
    kinds: [...new Set(direct.map(([report]) => report.kind))],
    codes: [...new Set(reports.map(([report]) => report.code))],
    techniques: [...new Set(reports.map(techniqueOf))],
  }
}

/** Of one try, as both sides tell it. */
function techniqueOf([left, right]: readonly [WhyReport, WhyReport]): string {
  if (left.kind === 'relay') return `relay (${left.code})`
  const events = [...left.events, ...right.events].map(({ text }) => text)
  const tried = events.flatMap((text) => /technique for hard NATs: (\w+)/.exec(text)?.[1] ?? [])
  const names = [...new Set(tried)].sort()
  return names.length > 0 ? names.join(' and ') : left.kind
}

export const PAIR_COLUMNS: readonly string[] = [
  'pair',
  'technique',
  'direct',
  'median',
  'p95',
  'probes',
  'best achievable',
]

/** A row under these. */
export function pairRow({
  pair,
  techniques,
  direct,
  tries,
  timesMs,
  probes,
  best,
}: PairResult): readonly string[] {
  const ms = (percent: number): string => {
    const value = percentile(timesMs, percent)
    return value === undefined ? '–' : `${Math.round(value)} ms`
  }
  return [pair, techniques.join(', '), `${direct} of ${tries}`, ms(50), ms(95), String(probes), best]
}

/** Nearest rank; undefined of nothing. */
export function percentile(sorted: readonly number[], percent: number): number | undefined {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1))]
}
