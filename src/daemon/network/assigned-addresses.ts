/** What `join` takes of the addresses that a hub assigns: not what belongs to others, whoever holds its key. */

import { AppError, ERROR_CODES } from '../../base/errors.js'
import { addressOf } from '../../control/addresses.js'
import type { Place } from '../../control/messages.js'
import { equalIp, tryParseIp } from '../../net/ip.js'
import { isRangeAllowed } from '../../net/network-range.js'
import { formatPrefix, type Prefix, prefixContains, tryParsePrefix } from '../../net/prefix.js'
import { nodeCrypto } from '../../wireguard/crypto-node.js'

/** `range`: of the network, as its token says. `confirmed`: by a person. Throws AppError that asks for it. */
export function requireConfirmed(range: Prefix | undefined, confirmed: Prefix | undefined): void {
  if (range === undefined || isRangeAllowed(range, confirmed)) return
  throw outside(formatPrefix(range), confirmed)
}

/** Undefined if all is well. `identity`: public key of this node. */
export function faultOf(
  place: Place,
  identity: Uint8Array,
  confirmed: Prefix | undefined,
): AppError | undefined {
  const [prefix4, prefix6] = [tryParsePrefix(place.prefix4), tryParsePrefix(place.prefix6)]
  const [v4, v6] = [tryParseIp(place.v4), tryParseIp(place.v6)]
  if (prefix4 === undefined || !isRangeAllowed(prefix4, confirmed)) return outside(place.prefix4, confirmed)
  const isOurs =
    prefix6 !== undefined &&
    isRangeAllowed(prefix6, undefined) &&
    v4 !== undefined &&
    prefixContains(prefix4, v4) &&
    v6 !== undefined &&
    equalIp(v6, addressOf(nodeCrypto, prefix6, identity))
  if (isOurs) return undefined
  return new AppError(
    ERROR_CODES.config,
    `the hub assigns addresses that cannot be: ${place.v4}, ${place.v6}`,
    {
      hint: 'ask whoever runs the hub; nothing was changed here',
    },
  )
}

function outside(range: string, confirmed: Prefix | undefined): AppError {
  const said = confirmed === undefined ? '' : `, not ${formatPrefix(confirmed)}`
  const message = `the network’s addresses are ${range}${said}: other networks may use them too`
  return new AppError(ERROR_CODES.config, message, {
    hint: `if this machine reaches nothing else there, confirm it: overlay join TOKEN --range ${range}`,
  })
}
