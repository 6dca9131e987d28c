/** Whether anybody accepts TCP connections at an endpoint. */

import { connect } from 'node:net'
import type { HostEndpoint } from '../net/endpoint.js'

/**
 * Ms until the connection was accepted; undefined if it was not within `timeoutMs`, or given up by `signal`.
 * Nothing is sent.
 */
export async function timeTcpConnect(
  endpoint: HostEndpoint,
  timeoutMs: number,
  nowMs: () => number,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const startMs = nowMs()
  return await new Promise((resolve) => {
    const { host, port } = endpoint
    const socket = connect({ host, port, timeout: timeoutMs, ...(signal && { signal }) })
    const finish = (result: number | undefined): void => {
      socket.destroy()
      resolve(result)
    }
    socket.once('connect', () => finish(nowMs() - startMs))
    socket.once('timeout', () => finish(undefined))
    socket.on('error', () => finish(undefined))
  })
}
