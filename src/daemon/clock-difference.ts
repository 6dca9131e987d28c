/** What a node tells its user when its clock and the hub's differ: keys and tickets have spans of time. Pure. */

import { formatSpan } from '../base/span.js'

/** Less does no harm. */
const MIN_DIFFERENCE_S = 600

export const CLOCK_HINT = 'set it right, for example with: timedatectl set-ntp true'

/** Empty if they agree well enough, or the hub did not say. `hubS`: seconds since 1970. */
export function describeClockDifference(wallNowMs: number, hubS: number | undefined): string {
  if (hubS === undefined) return ''
  const aheadS = wallNowMs / 1000 - hubS
  if (Math.abs(aheadS) < MIN_DIFFERENCE_S) return ''
  const way = aheadS > 0 ? 'ahead of' : 'behind'
  return `this machine's clock is ${formatSpan(Math.abs(aheadS))} ${way} the hub's: it says ${new Date(wallNowMs).toISOString()}`
}
