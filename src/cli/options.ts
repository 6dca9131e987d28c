/** Values of options that several commands take. Each throws UsageError that says what is allowed. */

import { UsageError } from '../base/errors.js'
import { tryParseInteger } from '../config/values.js'
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

/** Infinity if the option is not given. */
export function megabitsOf(input: CommandInput, option: string): number {
  const text = input.value(option)
  if (text === undefined) return Number.POSITIVE_INFINITY
  const megabits = tryParseInteger(text, 1, 1_000_000)
  if (megabits !== undefined) return megabits
  throw new UsageError(`--${option} cannot be "${text}"`, { hint: 'write a number of Mbit/s from 1' })
}
