/**
 * One question through the tunnel: a TCP connection to a port that is closed. The other system refuses it by itself,
 * which takes one round trip, no privilege, and no program on either side.
 */

import { connect } from 'node:net'
import { AppError, ERROR_CODES } from '../base/errors.js'
import type { PeerStatus } from '../daemon/local-api-schema.js'
import { hostOf } from './find-node.js'

const DISCARD_PORT = 9
/** A first packet may have to wait for a handshake over a relay. */
export const ANSWER_TIMEOUT_MS = 5000

/** Throws AppError if it has none of its own. */
export function addressOf(peer: PeerStatus): string {
  const [host] = peer.allowedIps.flatMap((prefix) => hostOf(prefix) ?? [])
  if (host !== undefined) return host
  throw new AppError(ERROR_CODES.conflict, 'this peer has no address of its own to ask', {
    hint: 'its allowed IPs hold no /32 and no /128',
  })
}

/** Ms, rounded to a tenth; null if no answer came in time. */
export async function roundTrip(address: string): Promise<number | null> {
  const startMs = performance.now()
  return await new Promise((resolve) => {
    const socket = connect({ host: address, port: DISCARD_PORT })
    const finish = (rttMs: number | null): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(rttMs)
    }
    const timer = setTimeout(() => finish(null), ANSWER_TIMEOUT_MS)
    socket.once('connect', () => finish(roundMs(performance.now() - startMs)))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      finish(error.code === 'ECONNREFUSED' ? roundMs(performance.now() - startMs) : null)
    })
  })
}

function roundMs(ms: number): number {
  return Math.round(ms * 10) / 10
}
