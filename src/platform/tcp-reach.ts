/** Whether anybody accepts TCP connections at an endpoint. */

import { connect } from 'node:net'
import type { HostEndpoint } from '../net/endpoint.js'
import { type AddressCheck, checkedLookup, requireAllowed } from './checked-lookup.js'

export interface ReachOptions {
  readonly timeoutMs: number
  readonly nowMs: () => number
  readonly isAllowed?: AddressCheck
  readonly signal?: AbortSignal
}

/**
 * Ms until the connection was accepted; undefined if it was not within `timeoutMs`, or given up by `signal`.
 * Nothing is sent.
 */
export async function timeTcpConnect(
  { host, port }: HostEndpoint,
  { timeoutMs, nowMs, isAllowed = () => Promise.resolve(true), signal }: ReachOptions,
): Promise<number | undefined> {
  try {
    await requireAllowed(host, isAllowed)
  } catch {
    return undefined
  }
  const lookup = checkedLookup(isAllowed)
  const startMs = nowMs()
  return await new Promise((resolve) => {
    const socket = connect({ host, port, lookup, timeout: timeoutMs, ...(signal && { signal }) })
    const finish = (result: number | undefined): void => {
      socket.destroy()
      resolve(result)
    }
    socket.once('connect', () => finish(nowMs() - startMs))
    socket.once('timeout', () => finish(undefined))
    socket.on('error', () => finish(undefined))
  })
}
