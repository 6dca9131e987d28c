/** Tables in Markdown with aligned columns, and the few ways figures are written. */

import type { Summary } from './statistics.js'

export interface Table {
  readonly title: string
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

const ABSENT = '–'

export function formatTable({ title, header, rows }: Table): string {
  const widths = header.map((cell, column) =>
    Math.max(3, cell.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const line = (cells: readonly string[]) =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width)).join(' | ')} |`
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [`**${title}**`, '', line(header), rule, ...rows.map(line)].join('\n')
}

/** Median with the range, the range only if there is one. */
export function formatSummary(summary: Summary | undefined, digits: number): string {
  if (summary === undefined) return ABSENT
  const [median, min, max] = [summary.median, summary.min, summary.max].map((value) => value.toFixed(digits))
  return min === max ? `${median}` : `${median} (${min}–${max})`
}
