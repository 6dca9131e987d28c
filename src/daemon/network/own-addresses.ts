/** Addresses of this machine by which others may reach it, and news of them and of the routes. */

import { networkInterfaces } from 'node:os'
import { MAX_LOCAL_PREFIXES } from '../../control/messages.js'
import { formatPrefix, maskPrefix, type Prefix, tryParsePrefix } from '../../net/prefix.js'
import { isUnreachableForOthers } from '../../net/special-addresses.js'
import type { Underlay } from '../../platform/underlay.js'

export interface OwnAddresses {
  stop(): void
}

export interface OwnAddressesHandlers {
  /** Called at once, and then whenever the list is another one. */
  readonly onAddresses: (addresses: readonly Prefix[]) => void
  /** Routes, or tunnels of this machine, are others perhaps. */
  readonly onRoutes: () => void
}

export function watchOwnAddresses(underlay: Underlay, handlers: OwnAddressesHandlers): OwnAddresses {
  let known: string | undefined
  const look = (): void => {
    const addresses = underlay.addresses.filter(({ address }) => !isUnreachableForOthers(address))
    const text = addresses.map(formatPrefix).join()
    if (text !== known) {
      known = text
      handlers.onAddresses(addresses)
    }
  }
  look()
  return underlay.watch(() => {
    look()
    handlers.onRoutes()
  })
}

/** v4 prefixes of this machine, those of other tunnels too, for the hub to lease none of their addresses. */
export function localPrefixes(exceptInterface: string): string[] {
  return Object.entries(networkInterfaces())
    .filter(([name]) => name !== exceptInterface)
    .flatMap(([, list = []]) => list)
    .flatMap(({ cidr, internal }) => (internal ? [] : (tryParsePrefix(cidr ?? '') ?? [])))
    .filter(({ address }) => address.family === 4 && !isUnreachableForOthers(address))
    .map((prefix) => formatPrefix(maskPrefix(prefix)))
    .slice(0, MAX_LOCAL_PREFIXES)
}
