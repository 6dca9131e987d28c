/**
 * From samples to tables: one per group of measures, then each contender against each anchor.
 *
 * Anchors are the other WireGuards and overlay without sealing. Ratios are paired within rounds.
 */

import { MANY_PEERS, OVERLAY, OVERLAY_MANY_PEERS } from './contenders.js'
import { GROUPS, type MeasureGroup, type MeasureId, type Samples } from './measures.js'
import type { MicroResult } from './micro.js'
import { pairedRatio, type Series, type Summary, summarize } from './statistics.js'
import { formatSummary, type Table } from './table.js'

const RATIO_DIGITS = 2

export type Summaries = Readonly<Record<string, Readonly<Partial<Record<MeasureId, Summary>>>>>

const MEASURES = GROUPS.flatMap(({ measures }) => measures)

function seriesOf(samples: Samples, contender: string, id: MeasureId): Series {
  return (samples.get(contender) ?? []).map((sample) => sample[id])
}

export function summariesOf(samples: Samples): Summaries {
  return forEachMeasure(samples, (contender, id) => summarize(seriesOf(samples, contender, id)))
}

/** Of every contender to `anchor`. */
export function ratiosTo(samples: Samples, anchor: string): Summaries {
  return forEachMeasure(samples, (contender, id) =>
    pairedRatio(seriesOf(samples, contender, id), seriesOf(samples, anchor, id)),
  )
}

/** `anchors` that did not run are left out. */
export function tablesOf(samples: Samples, anchors: readonly string[]): Table[] {
  const summaries = summariesOf(samples)
  return [
    ...GROUPS.map((group) => groupTable(group, summaries)).filter(({ rows }) => rows.length > 0),
    ...anchors.map((anchor) => ratioTable(samples, anchor)).filter(({ rows }) => rows.length > 0),
    ...manyPeersTables(samples),
  ]
}

export function microTables(results: readonly MicroResult[]): Table[] {
  return results.map(({ name, figures }) => ({
    title: name,
    header: ['figure', 'value'],
    rows: flatten('', figures),
  }))
}

function groupTable({ title, measures }: MeasureGroup, summaries: Summaries): Table {
  const rows = Object.entries(summaries)
    .filter(([, own]) => measures.some(({ id }) => own[id] !== undefined))
    .map(([contender, own]) => [
      contender,
      ...measures.map(({ id, digits }) => formatSummary(own[id], digits)),
    ])
  return { title, header: ['', ...measures.map((measure) => measure.title)], rows }
}

/** Turned round: measures are many, contenders few. */
function ratioTable(samples: Samples, anchor: string): Table {
  const ratios = ratiosTo(samples, anchor)
  const others = Object.entries(ratios).filter(
    ([contender, own]) => contender !== anchor && Object.keys(own).length > 0,
  )
  const isCompared = (id: MeasureId) => others.some(([, own]) => own[id] !== undefined)
  const rows = GROUPS.flatMap((group) =>
    group.measures
      .filter(({ id }) => isCompared(id))
      .map((measure) => [
        `${group.label}${measure.title}`,
        ...others.map(([, own]) => formatSummary(own[measure.id], RATIO_DIGITS)),
      ]),
  )
  return { title: `Ratio to ${anchor}`, header: ['', ...others.map(([contender]) => contender)], rows }
}

function manyPeersTables(samples: Samples): Table[] {
  const id = 'tcp1ThereMbps'
  const own = seriesOf(samples, OVERLAY_MANY_PEERS, id)
  const ratio = pairedRatio(own, seriesOf(samples, OVERLAY, id))
  if (ratio === undefined) return []
  return [
    {
      title: `${MANY_PEERS} peers against one, TCP 1 flow A→B`,
      header: ['', 'ratio'],
      rows: [[OVERLAY, formatSummary(ratio, RATIO_DIGITS)]],
    },
  ]
}

function forEachMeasure(
  samples: Samples,
  summaryOf: (contender: string, id: MeasureId) => Summary | undefined,
): Summaries {
  return Object.fromEntries(
    [...samples.keys()].map((contender) => {
      const entries = MEASURES.map(({ id }) => [id, summaryOf(contender, id)] as const)
      return [contender, Object.fromEntries(entries.filter(([, summary]) => summary !== undefined))]
    }),
  )
}

/** Nested figures as rows of dotted name and value. */
function flatten(path: string, figures: unknown): string[][] {
  if (typeof figures !== 'object' || figures === null) return [[path, String(figures)]]
  return Object.entries(figures).flatMap(([key, value]) =>
    flatten(path === '' ? key : `${path}.${key}`, value),
  )
}
