/** Numbers in words for people, and the other way: spans of time, amounts of data, tables. Pure. */

import { UsageError } from '../base/errors.js'
import { formatSpan } from '../base/span.js'

const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** `1 minute, 5 seconds ago`: the two largest units that are not zero. `ageS`: whole seconds. */
export function formatAge(ageS: number): string {
  return ageS <= 0 ? 'now' : `${formatSpan(ageS)} ago`
}

/** `1.25 MiB`: three significant digits in binary units. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < BINARY_UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${value.toFixed(digits)} ${BINARY_UNITS[unit]}`
}

const DURATION_UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** `90s`, `15m`, `24h`, `7d` -> seconds. `option`: what messages call it. Throws UsageError. */
export function parseDuration(text: string, option: string): number {
  const [, count = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const seconds = Number(count) * (DURATION_UNITS[unit] ?? 0)
  if (seconds > 0) return seconds
  throw new UsageError(`${option} cannot be "${text}"`, {
    hint: 'write a number and s, m, h or d, such as 24h',
  })
}

/** Columns as wide as their widest cell. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
