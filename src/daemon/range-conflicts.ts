/** What this machine loses when it becomes part of a network whose addresses it uses for something else. */

import type { TunnelConfig } from '../config/types.js'
import { overlapsWith } from '../hub/choose-range.js'
import { formatPrefix, maskPrefix } from '../net/prefix.js'
import { usedPrefixes } from '../platform/used-addresses.js'

/** In words, before it comes up; empty for a file of no network. Throws PlatformError. */
export function findRangeConflicts(config: TunnelConfig): string[] {
  if (config.overlay === undefined) return []
  const { network } = config.overlay
  const ranges = config.interface.addresses.filter(({ address }) => address.family === 4).map(maskPrefix)
  return ranges.flatMap((range) => {
    const used = new Set(overlapsWith(range, usedPrefixes()).map(formatPrefix))
    if (used.size === 0) return []
    const list = [...used].map((prefix) => prefix.replace(/\/32$/, '')).join(', ')
    return [
      `${formatPrefix(range)} of the network ${network} holds what this machine uses already: ${list}; ` +
        'while the network is up, that cannot be reached',
    ]
  })
}
