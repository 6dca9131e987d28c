/** Measures how many sessions the router here has left (room-survey.ts), by TCP connections that are refused. */

import { connect, type Socket } from 'node:net'
import type { Endpoint } from '../../net/endpoint.js'
import { formatIp } from '../../net/ip.js'
import { RoomSurvey } from '../../paths/room-survey.js'

/** Of STUN, which servers speak over UDP there: as TCP it is closed, and more likely let through than others. */
const CLOSED_PORT = 3478
/** Before the system sends a connection's first packet again. */
const PATIENCE_MS = 700
/** One may have a firewall that swallows, or be too near to hold so many at once. */
const MAX_SERVERS = 3
/** Of a round trip, in which all have to leave: what is measured of one is longer than it is, never shorter. */
const SPREAD_SHARE = 0.8

/** See RoomSurvey.room. */
export async function measureRoom(
  servers: readonly Endpoint[],
  signal: AbortSignal,
  port: number = CLOSED_PORT,
): Promise<number | undefined> {
  const hosts = new Set(servers.map(({ address }) => formatIp(address)))
  for (const host of [...hosts].slice(0, MAX_SERVERS)) {
    const survey = new RoomSurvey()
    let rttMs = Number.POSITIVE_INFINITY
    for (let count = survey.next; count !== undefined && !signal.aborted; count = survey.next) {
      const burst = await connectAtOnce({ host, port }, count, signal)
      rttMs = Math.min(rttMs, burst.tookMs)
      survey.handleBurst({ refused: burst.refused, isAtOnce: burst.spreadMs < SPREAD_SHARE * rttMs })
    }
    if (survey.room !== undefined || signal.aborted) return survey.room
  }
  return undefined
}

/** `spreadMs`: between the first and the last one that left; `tookMs`: until all were done. */
async function connectAtOnce(
  target: { readonly host: string; readonly port: number },
  count: number,
  signal: AbortSignal,
): Promise<{ refused: number; spreadMs: number; tookMs: number }> {
  const startMs = performance.now()
  let refused = 0
  const sockets: Socket[] = []
  const ends = Array.from({ length: count }, async () => {
    const socket = connect(target)
    sockets.push(socket)
    await new Promise<void>((resolve) => {
      socket.once('connect', () => socket.resetAndDestroy())
      socket.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNREFUSED') refused += 1
      })
      socket.once('close', () => resolve())
    })
  })
  const giveUp = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  const timer = setTimeout(giveUp, PATIENCE_MS)
  signal.addEventListener('abort', giveUp)
  let spreadMs = 0
  // Each connection is begun in a tick of its own; this one comes after theirs.
  process.nextTick(() => {
    spreadMs = performance.now() - startMs
  })
  await Promise.all(ends)
  clearTimeout(timer)
  signal.removeEventListener('abort', giveUp)
  return { refused, spreadMs, tookMs: performance.now() - startMs }
}
