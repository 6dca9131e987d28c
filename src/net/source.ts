/** Who counts as one where strangers get shares: a v4 address or a v6 /64, as whoever has one v6 address has them all. */

import type { IpAddress } from './ip.js'

/** The v4 address, or the first half of the v6 address as bigint: the two cannot be equal keys. */
export type SourceKey = number | bigint

export function sourceOf(address: IpAddress): SourceKey {
  const view = new DataView(address.bytes.buffer, address.bytes.byteOffset, address.bytes.length)
  return address.family === 4 ? view.getUint32(0) : view.getBigUint64(0)
}
