import { Socket } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { serveStun } from '../../../src/hub/io/stun-stream.js'

const MAX_STREAMS = 1024

const sockets: Socket[] = []
afterEach(() => {
  for (const socket of sockets) socket.destroy()
})

function serve(count: number): void {
  for (let i = 0; i < count; i++) {
    const socket = new Socket()
    sockets.push(socket)
    serveStun(socket)
  }
}

function ended(): number[] {
  return sockets.flatMap(({ destroyed }, i) => (destroyed ? [i] : []))
}

it('of more connections than there may be, the oldest give way, and none where others ended', async () => {
  serve(MAX_STREAMS)
  expect(ended()).toEqual([])
  serve(2)
  expect(ended()).toEqual([0, 1])
  await new Promise<void>((resolve) => sockets[500]?.once('close', resolve).destroy())
  serve(1)
  expect(ended()).toEqual([0, 1, 500])
})
