/** Values of settings that are no address and no key: numbers, times, marks, tables, DNS entries. */

import { type IpAddress, tryParseIp } from '../net/ip.js'
import type { RoutingTable } from './types.js'

const MAX_DOMAIN_LENGTH = 253 // RFC 1035 section 2.3.4, without the root dot
const UINT32_MAX = 0xffff_ffff
const SECONDS: ReadonlyMap<string, number> = new Map([
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
  ['s', 1],
])
/** Tables that have a name on every system (linux/rtnetlink.h). */
const NAMED_TABLES: ReadonlyMap<string, number> = new Map([
  ['default', 253],
  ['main', 254],
  ['local', 255],
])

/** Blanks mean nothing inside a value of `wg`. */
export function compact(value: string): string {
  return value.replace(/\s+/g, '')
}

/** Plain decimal digits between the bounds. */
export function tryParseInteger(text: string, least: number, most: number): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined
  const value = Number(text)
  return value >= least && value <= most ? value : undefined
}

/** A number and s, m, h or d, in seconds; between the bounds. */
export function tryParseTime(text: string, least: number, most: number): number | undefined {
  const [, number, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  const seconds = Number(number) * (SECONDS.get(unit ?? '') ?? Number.NaN)
  return seconds >= least && seconds <= most ? seconds : undefined
}

/** With the largest unit that it is whole in. */
export function formatTime(seconds: number): string {
  const [unit, size] = [...SECONDS].find(([, each]) => seconds % each === 0) ?? ['s', 1]
  return `${seconds / size}${unit}`
}

/** 32 bits, decimal or `0x` hex. */
export function tryParseMark(text: string): number | undefined {
  if (/^0x[0-9a-f]{1,8}$/i.test(text)) return Number.parseInt(text.slice(2), 16)
  return tryParseInteger(text, 0, UINT32_MAX)
}

/** `text`: in lower case. */
export function tryParseTable(text: string): RoutingTable | undefined {
  if (text === 'auto' || text === 'off') return text
  const number = NAMED_TABLES.get(text) ?? tryParseMark(text)
  return number === 0 ? undefined : number
}

/** The address of a server, or a search domain. What looks like an address must be one. */
export function tryParseDns(text: string): IpAddress | string | undefined {
  if (/^[\d.]+$|:/.test(text)) return tryParseIp(text)
  if (text.length > MAX_DOMAIN_LENGTH) return undefined
  return /^~?\.?[A-Za-z0-9_]([A-Za-z0-9_-]*\.)*[A-Za-z0-9_-]*$/.test(text) ? text : undefined
}

/** How the text of a key is wrong, without showing it. */
export function describeKeyFault(text: string): string {
  if (text.length !== 44) return `has ${text.length} characters; a key has 44`
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text)) return 'holds characters that are not base64'
  return /^A{43}=$/.test(text) ? 'is all zero' : 'is not the base64 of 32 bytes'
}
