/** IP prefixes in CIDR notation. */

import { formatIp, type IpAddress, tryParseIp } from './ip.js'

export interface Prefix {
  readonly address: IpAddress
  /** Prefix length: 0–32 for v4, 0–128 for v6. */
  readonly bits: number
}

/** `address/bits`, or an address alone for a host prefix. Host bits stay as written: see maskPrefix. */
export function tryParsePrefix(text: string): Prefix | undefined {
  const [addressText = '', bitsText, ...rest] = text.split('/')
  const address = tryParseIp(addressText)
  if (address === undefined || rest.length > 0) return undefined
  const limit = addressBits(address)
  if (bitsText === undefined) return { address, bits: limit }
  if (!/^(0|[1-9]\d{0,2})$/.test(bitsText) || Number(bitsText) > limit) return undefined
  return { address, bits: Number(bitsText) }
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatIp(prefix.address)}/${prefix.bits}`
}

/** The same prefix with all host bits zero. */
export function maskPrefix(prefix: Prefix): Prefix {
  const bytes = prefix.address.bytes.slice()
  for (let i = 0; i < bytes.length; i++) {
    const kept = Math.min(8, Math.max(0, prefix.bits - 8 * i))
    bytes[i] = (bytes[i] as number) & (0xff << (8 - kept))
  }
  return { address: { family: prefix.address.family, bytes }, bits: prefix.bits }
}

/** Whether `address` lies in `prefix`; never across families. */
export function prefixContains(prefix: Prefix, address: IpAddress): boolean {
  if (prefix.address.family !== address.family) return false
  for (let i = 0; 8 * i < prefix.bits; i++) {
    const mask = 0xff << (8 - Math.min(8, prefix.bits - 8 * i))
    const difference = (prefix.address.bytes[i] as number) ^ (address.bytes[i] as number)
    if ((difference & mask & 0xff) !== 0) return false
  }
  return true
}

/** Whether every address of `inner` lies in `outer`. */
export function prefixCovers(outer: Prefix, inner: Prefix): boolean {
  return inner.bits >= outer.bits && prefixContains(outer, inner.address)
}

export function addressBits(address: IpAddress): number {
  return address.family === 4 ? 32 : 128
}
