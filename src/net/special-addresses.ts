/** Ranges of addresses that mean something by themselves, whoever names them. */

import type { IpAddress } from './ip.js'
import { type Prefix, prefixContains, tryParsePrefix } from './prefix.js'

/** RFC 1918, RFC 6598, RFC 4193: many networks have them, each its own. */
const PRIVATE: readonly Prefix[] = prefixes(
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  'fc00::/7',
)
/** Nobody is reached there, or everybody. */
const UNUSABLE: readonly Prefix[] = prefixes(
  '0.0.0.0/8',
  '127.0.0.0/8',
  '224.0.0.0/3',
  '::/128',
  '::1/128',
  'ff00::/8',
)
const LINK_LOCAL: readonly Prefix[] = prefixes('169.254.0.0/16', 'fe80::/10')
/**
 * Where clouds tell a machine its secrets, beside 169.254.169.254: nobody else is ever there. Alibaba, Oracle
 * (RFC 7335's range), Azure, AWS, Google.
 */
const METADATA: readonly Prefix[] = prefixes(
  '100.100.100.200/32',
  '192.0.0.0/24',
  '168.63.129.16/32',
  'fd00:ec2::/32',
  'fd20:ce::254/128',
)

export function isPrivate(address: IpAddress): boolean {
  return isIn(PRIVATE, address)
}

export function isLinkLocal(address: IpAddress): boolean {
  return isIn(LINK_LOCAL, address)
}

/** No other machine is reached by it: of no host, link-local, or a service of the cloud's for this machine. */
export function isUnreachableForOthers(address: IpAddress): boolean {
  return isIn(UNUSABLE, address) || isLinkLocal(address) || isIn(METADATA, address)
}

function isIn(list: readonly Prefix[], address: IpAddress): boolean {
  return list.some((prefix) => prefixContains(prefix, address))
}

function prefixes(...texts: readonly string[]): Prefix[] {
  return texts.flatMap((text) => tryParsePrefix(text) ?? [])
}
