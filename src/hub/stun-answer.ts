/** What a STUN server answers (RFC 8489 section 6.3; changed addresses and ports: RFC 5780 section 7). Pure. */

import { type Endpoint, equalEndpoint } from '../net/endpoint.js'
import { equalIp } from '../net/ip.js'
import { changeRequest, decodeStun, encodeBindingAnswer, isBinding } from '../paths/stun.js'

/**
 * `corners`: endpoints of the server's sockets of this family. Undefined: no answer, as for everything that
 * is no well-formed question, or asks for an address that there is not.
 */
export function answerStun(
  bytes: Uint8Array,
  from: Endpoint,
  to: Endpoint,
  corners: readonly Endpoint[],
): { readonly source: Endpoint; readonly bytes: Uint8Array } | undefined {
  const request = decodeStun(bytes)
  if (request === undefined || request.class !== 'request' || !isBinding(request)) return undefined
  const change = changeRequest(request)
  const source = corners.find(
    (corner) =>
      equalIp(corner.address, to.address) !== change.address && (corner.port === to.port) !== change.port,
  )
  if (source === undefined) return undefined
  const other = corners.find((corner) => !equalIp(corner.address, to.address) && corner.port !== to.port)
  const { transactionId } = request
  return {
    source: equalEndpoint(source, to) ? to : source,
    bytes: encodeBindingAnswer({ transactionId, mapped: from, ...(other && { other }) }),
  }
}
