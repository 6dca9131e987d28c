/** Values of options that several commands take. Each throws UsageError that says what is allowed. */

import { UsageError } from '../base/errors.js'
import { tryParseInteger } from '../config/values.js'
import { formatHostEndpoint, tryParseHostEndpoint } from '../net/endpoint.js'
import { RANGE_WORDS, tryParseRange } from '../net/network-range.js'
import { formatPrefix, maskPrefix, type Prefix, tryParsePrefix } from '../net/prefix.js'
import type { CommandInput } from './command.js'

export function portOf(input: CommandInput, option: string, otherwise: number): number {
  const text = input.value(option)
  if (text === undefined) return otherwise
  const port = tryParseInteger(text, 1, 65534)
  if (port !== undefined) return port
  throw new UsageError(`--${option} cannot be "${text}"`, { hint: 'write a number from 1 to 65534' })
}

/** A host name or an address, the latter without brackets; undefined if the option is not given. */
export function hostOf(input: Pick<CommandInput, 'value'>, option: string): string | undefined {
  const text = input.value(option)
  if (text === undefined) return undefined
  const host = text.replace(/^\[(.*)\]$/, '$1')
  if (tryParseHostEndpoint(formatHostEndpoint({ host, port: 1 })) !== undefined) return host
  throw new UsageError(`--${option} cannot be "${text}"`, {
    hint: 'write a host name or an address alone; the port goes into --port',
  })
}

/** Undefined if `--range` is not given. */
export function rangeOf(input: CommandInput): Prefix | undefined {
  const text = input.value('range')
  if (text === undefined) return undefined
  const range = tryParseRange(text)
  if (range !== undefined) return range
  const written = tryParsePrefix(text)
  const masked = written && tryParseRange(formatPrefix(maskPrefix(written)))
  throw new UsageError(`--range cannot be "${text}"`, {
    hint: `write ${masked === undefined ? RANGE_WORDS : formatPrefix(masked)}`,
  })
}

/** Words between commas. */
export function listOf(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
}

/** Mbit/s that one node may send through a relay: about the port of a server. */
export const DEFAULT_RATE_LIMIT = '1000'
const BYTES_PER_MEGABIT: number = 1e6 / 8

/** Of `--rate-limit`, in bytes a second; Infinity for `none`. */
export function rateLimitOf(input: CommandInput): number {
  const text = input.value('rate-limit') ?? DEFAULT_RATE_LIMIT
  if (text === 'none') return Number.POSITIVE_INFINITY
  const megabits = tryParseInteger(text, 1, 1_000_000)
  if (megabits !== undefined) return megabits * BYTES_PER_MEGABIT
  throw new UsageError(`--rate-limit cannot be "${text}"`, {
    hint: 'write a number of Mbit/s from 1, or none',
  })
}
