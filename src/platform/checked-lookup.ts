/** Connecting only to addresses that pass a check, however a name resolves at that moment. */

import { lookup } from 'node:dns/promises'
import type { LookupFunction } from 'node:net'
import { type IpAddress, tryParseIp } from '../net/ip.js'

export type AddressCheck = (address: IpAddress) => Promise<boolean>

/** For `net.connect`, which does not ask it where `host` is an address: see `requireAllowed`. */
export function checkedLookup(isAllowed: AddressCheck): LookupFunction {
  return (host, options, callback) => {
    allowedAddresses(host, isAllowed).then(
      (found) => {
        const [first] = found
        if (first === undefined) callback(notAllowed(host), '', 0)
        else if (options.all === true) callback(null, found)
        else callback(null, first.address, first.family)
      },
      (error: Error) => callback(error, '', 0),
    )
  }
}

/** Rejects if `host` is an address that does not pass; a name passes here. */
export async function requireAllowed(host: string, isAllowed: AddressCheck): Promise<void> {
  const address = tryParseIp(host)
  if (address !== undefined && !(await isAllowed(address))) throw notAllowed(host)
}

async function allowedAddresses(
  host: string,
  isAllowed: AddressCheck,
): Promise<{ address: string; family: number }[]> {
  const found = await lookup(host, { all: true })
  const verdicts = await Promise.all(
    found.map(async ({ address }) => {
      const ip = tryParseIp(address)
      return ip !== undefined && (await isAllowed(ip))
    }),
  )
  return found.filter((_, index) => verdicts[index])
}

function notAllowed(host: string): Error {
  return new Error(`${host} is in a local network where the hub is not, or inside a network of this machine`)
}
