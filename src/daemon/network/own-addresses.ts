/** Addresses of this machine by which others may reach it, and news of their change. */

import { networkInterfaces } from 'node:os'
import { MAX_LOCAL_PREFIXES } from '../../control/messages.js'
import { formatPrefix, maskPrefix, type Prefix, tryParsePrefix } from '../../net/prefix.js'
import { usableAddresses } from '../../paths/candidates.js'
import { watchLinks } from '../../platform/link-events.js'

/** Changes come in swarms: a link goes, its addresses go, others come. */
const SETTLE_MS = 60

export interface OwnAddresses {
  stop(): void
}

/** Calls back at once, and then whenever the list is another one. `interfaceName`: the overlay's own. */
export function watchOwnAddresses(
  interfaceName: string,
  onChange: (addresses: readonly Prefix[]) => void,
): OwnAddresses {
  let known: string | undefined
  let timer: NodeJS.Timeout | undefined
  const look = (): void => {
    timer = undefined
    const addresses = listOwnAddresses(interfaceName)
    const text = addresses.map(formatPrefix).join()
    if (text === known) return
    known = text
    onChange(addresses)
  }
  const links = watchLinks(() => {
    timer ??= setTimeout(look, SETTLE_MS)
  })
  look()
  return {
    stop() {
      clearTimeout(timer)
      links.stop()
    },
  }
}

/** v4 prefixes of this machine, for the hub to lease none of their addresses. */
export function localPrefixes(exceptInterface: string): string[] {
  return listOwnAddresses(exceptInterface)
    .filter(({ address }) => address.family === 4)
    .map((prefix) => formatPrefix(maskPrefix(prefix)))
    .slice(0, MAX_LOCAL_PREFIXES)
}

function listOwnAddresses(exceptInterface: string): Prefix[] {
  const all = Object.entries(networkInterfaces()).filter(([name]) => name !== exceptInterface)
  const addresses = all
    .flatMap(([, list]) => list ?? [])
    .flatMap(({ cidr, internal }) =>
      internal ? [] : (tryParsePrefix(cidr?.replace(/%[^/]*/, '') ?? '') ?? []),
    )
  return usableAddresses(addresses, [])
}
