/**
 * What a STUN server answers (RFC 8489 section 6.3; changed addresses and ports: RFC 5780 section 7). Pure.
 *
 * An answer goes to the address that asked, whatever is asked for. To another port of it goes one that is not
 * longer than the question, so that whoever forges that address gains nothing by it.
 */

import { type Endpoint, equalEndpoint } from '../net/endpoint.js'
import { equalIp } from '../net/ip.js'
import { changeRequest, decodeStun, encodeBindingAnswer, isBinding, responsePort } from '../paths/stun.js'

/** Nobody is behind a NAT there, and much that answers listens there. */
const LEAST_RESPONSE_PORT = 1024

export interface StunAnswer {
  readonly source: Endpoint
  readonly to: Endpoint
  readonly bytes: Uint8Array
}

/**
 * `corners`: endpoints of the server's sockets of this family. Undefined: no answer, as for everything that
 * is no well-formed question, or asks for an address that there is not.
 */
export function answerStun(
  bytes: Uint8Array,
  from: Endpoint,
  to: Endpoint,
  corners: readonly Endpoint[],
): StunAnswer | undefined {
  const request = decodeStun(bytes)
  if (request === undefined || request.class !== 'request' || !isBinding(request)) return undefined
  const { transactionId } = request
  const change = changeRequest(request)
  const port = responsePort(request)
  if (port !== undefined) {
    if (!(port >= LEAST_RESPONSE_PORT) || change.address || change.port) return undefined
    const answer = encodeBindingAnswer({ transactionId, mapped: from })
    return answer.length > bytes.length ? undefined : { source: to, to: { ...from, port }, bytes: answer }
  }
  const source = corners.find(
    (corner) =>
      equalIp(corner.address, to.address) !== change.address && (corner.port === to.port) !== change.port,
  )
  if (source === undefined) return undefined
  const other = corners.find((corner) => !equalIp(corner.address, to.address) && corner.port !== to.port)
  return {
    source: equalEndpoint(source, to) ? to : source,
    to: from,
    bytes: encodeBindingAnswer({ transactionId, mapped: from, ...(other && { other }) }),
  }
}
