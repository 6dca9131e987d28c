/** What others behind a NAT do meanwhile: UDP flows, each from a fresh socket to another port of one address. */

import { createSocket } from 'node:dgram'

const FIRST_PORT = 10_000
const PORTS = 40_000
const TICK_MS = 20

/** Resolves when the time is over and the last socket is closed. */
export async function makeFlows(address: string, perSecond: number, seconds: number): Promise<void> {
  const startMs = performance.now()
  const wanted = perSecond * seconds
  let made = 0
  while (made < wanted) {
    const due = Math.min(wanted, Math.floor(((performance.now() - startMs) / 1000) * perSecond))
    const opened: Promise<void>[] = []
    // A NAT that has the port in use for the same destination could not give it to another.
    for (; made < due; made++) opened.push(makeFlow(address, FIRST_PORT + (made % PORTS)))
    await Promise.all(opened)
    await new Promise((resolve) => setTimeout(resolve, TICK_MS))
  }
}

/** One datagram is enough for a NAT to remember it. */
function makeFlow(address: string, port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4')
    socket.on('error', () => undefined)
    socket.once('close', resolve)
    socket.send('x', port, address, () => socket.close())
  })
}
