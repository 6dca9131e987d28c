/**
 * IP addresses as values: strict text forms (RFC 4291 for v6, four plain decimals for v4) and bytes.
 *
 * Strict on purpose: `010.0.0.1`, `1.2.3` and `0x7f.1` are refused, because lenient readers disagree
 * about what they mean and allowed IPs are an access rule.
 */

export interface IpAddress {
  readonly family: 4 | 6
  /** Network order; 4 or 16 bytes as `family` says. Never written to after construction. */
  readonly bytes: Uint8Array
}

export function ipFromBytes(bytes: Uint8Array): IpAddress {
  if (bytes.length !== 4 && bytes.length !== 16) {
    throw new RangeError(`an IP address has 4 or 16 bytes, not ${bytes.length}`)
  }
  return { family: bytes.length === 4 ? 4 : 6, bytes: bytes.slice() }
}

/** Undefined if `text` is no IP address in strict form. Zones (`%eth0`) are not part of an address. */
export function tryParseIp(text: string): IpAddress | undefined {
  const bytes = text.includes(':') ? tryParseV6(text) : tryParseV4(text)
  return bytes === undefined ? undefined : { family: bytes.length === 4 ? 4 : 6, bytes }
}

function tryParseV4(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  const bytes = new Uint8Array(4)
  for (const [i, part] of parts.entries()) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined
    bytes[i] = Number(part)
  }
  return bytes
}

function tryParseV6(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = tryParseGroups(halves[0] as string, halves.length === 1)
  const tail = halves.length === 2 ? tryParseGroups(halves[1] as string, true) : []
  if (head === undefined || tail === undefined) return undefined
  const length = head.length + tail.length
  if (halves.length === 1 ? length !== 16 : length > 14) return undefined
  const bytes = new Uint8Array(16)
  bytes.set(head, 0)
  bytes.set(tail, 16 - tail.length)
  return bytes
}

/** Bytes of colon-separated groups; the last may be a dotted quad if `isEnd`. */
function tryParseGroups(text: string, isEnd: boolean): number[] | undefined {
  if (text === '') return []
  const groups = text.split(':')
  const bytes: number[] = []
  for (const [i, group] of groups.entries()) {
    if (isEnd && i === groups.length - 1 && group.includes('.')) {
      const quad = tryParseV4(group)
      if (quad === undefined) return undefined
      bytes.push(...quad)
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined
      const word = Number.parseInt(group, 16)
      bytes.push(word >> 8, word & 255)
    }
  }
  return bytes
}

/** Canonical text; v6 as RFC 5952 (longest run of zero groups shortened, lower case). */
export function formatIp(address: IpAddress): string {
  const { bytes } = address
  if (address.family === 4) return bytes.join('.')
  if (isV4Mapped(bytes)) return `::ffff:${bytes.subarray(12).join('.')}`
  const words: number[] = []
  for (let i = 0; i < 16; i += 2) words.push(((bytes[i] as number) << 8) | (bytes[i + 1] as number))
  const run = longestZeroRun(words)
  const hex = words.map((word) => word.toString(16))
  if (run.length < 2) return hex.join(':')
  return `${hex.slice(0, run.start).join(':')}::${hex.slice(run.start + run.length).join(':')}`
}

function longestZeroRun(words: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  for (let start = 0; start < words.length; start++) {
    let end = start
    while (end < words.length && words[end] === 0) end++
    if (end - start > best.length) best = { start, length: end - start }
  }
  return best
}

function isV4Mapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false
  return bytes[10] === 0xff && bytes[11] === 0xff
}

export function equalIp(a: IpAddress, b: IpAddress): boolean {
  return a.family === b.family && a.bytes.every((byte, i) => byte === b.bytes[i])
}
