/** A UDP socket for a few datagrams of no hurry: questions and answers, not packets. */

import { createSocket, type Socket } from 'node:dgram'
import type { Endpoint } from '../net/endpoint.js'
import { formatIp, tryParseIp } from '../net/ip.js'

const USUAL_HOPS = 64

export type DatagramHandler = (from: Endpoint, bytes: Uint8Array) => void

export interface DatagramSocket {
  /** Its own. */
  readonly port: number
  /** `hops`: after which it is thrown away. A datagram that cannot be sent counts as lost on the way: UDP promises no more. */
  send(to: Endpoint, bytes: Uint8Array, hops?: number): void
  /** What was sent before leaves before. */
  close(): Promise<void>
}

/** On a port of the system's choice. Undefined if the machine does not speak this family. */
export async function openDatagramSocket(
  family: 4 | 6,
  onDatagram: DatagramHandler,
): Promise<DatagramSocket | undefined> {
  const socket = createSocket({ type: family === 4 ? 'udp4' : 'udp6', ipv6Only: family === 6 })
  const isBound = await new Promise<boolean>((resolve) => {
    socket.once('error', () => resolve(false))
    socket.bind(0, () => resolve(true))
  })
  socket.on('error', () => undefined) // ICMP errors of datagrams that were sent
  if (!isBound) return undefined
  socket.on('message', (bytes, info) => {
    const address = tryParseIp(info.address.split('%')[0] ?? '')
    // Nobody is at port 0: an answer could not be sent.
    if (address !== undefined && info.port !== 0)
      onDatagram({ address, port: info.port, scopeId: 0 }, new Uint8Array(bytes))
  })
  let sending = 0
  let onAllSent: () => void = () => undefined
  return {
    port: socket.address().port,
    send(to, bytes, hops) {
      if (hops !== undefined) socket.setTTL(hops)
      socket.send(bytes, to.port, formatIp(to.address), () => {
        // The system takes it from the socket when it is sent, a moment later.
        if (hops !== undefined) socket.setTTL(USUAL_HOPS)
        sending -= 1
        if (sending === 0) onAllSent()
      })
      // Not before: what throws is not sent, and nobody would count it back.
      sending += 1
    },
    async close() {
      const allSent = new Promise<void>((resolve) => {
        onAllSent = resolve
      })
      if (sending > 0) await allSent
      await closeSocket(socket)
    },
  }
}

async function closeSocket(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => socket.close(() => resolve()))
}
