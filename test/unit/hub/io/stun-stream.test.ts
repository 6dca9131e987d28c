import { Socket } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { StunStreams } from '../../../../src/hub/io/stun-stream.js'
import type { Endpoint } from '../../../../src/net/endpoint.js'
import { ipFromBytes } from '../../../../src/net/ip.js'

const MAX_STREAMS = 1024

const sockets: Socket[] = []
afterEach(() => {
  for (const socket of sockets) socket.destroy()
})

function serve(streams: StunStreams, count: number, host = 1): void {
  const remote: Endpoint = { address: ipFromBytes(Uint8Array.of(192, 0, 2, host)), port: 1, scopeId: 0 }
  for (let i = 0; i < count; i++) {
    const socket = new Socket()
    sockets.push(socket)
    streams.serve(socket, remote)
  }
}

function ended(): number[] {
  return sockets.flatMap(({ destroyed }, i) => (destroyed ? [i] : []))
}

it('of more connections than there may be, the oldest of the busiest source give way', async () => {
  const streams = new StunStreams()
  serve(streams, 1, 2)
  serve(streams, MAX_STREAMS - 1)
  expect(ended()).toEqual([])
  serve(streams, 2)
  expect(ended()).toEqual([1, 2])
  expect(streams.crowdedOut).toBe(2)
  await new Promise<void>((resolve) => sockets[500]?.once('close', resolve).destroy())
  serve(streams, 1)
  expect(ended()).toEqual([1, 2, 500])
})
