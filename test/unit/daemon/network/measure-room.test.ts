/** Measuring what a router has left, where nothing is between: what comes of it beside the measure. */

import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { measureRoom } from '../../../../src/daemon/network/measure-room.js'
import { endpoint } from '../../../support/simulated-nat.js'

const SERVERS = [endpoint('127.0.0.1', 1), endpoint('127.0.0.1', 2)]
const server = createServer()
const taken: Socket[] = []
let stopping: AbortController
let port: number

server.on('connection', (socket) => {
  taken.push(socket)
  socket.on('error', () => undefined) // it is reset
})

beforeEach(async () => {
  stopping = new AbortController()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})
afterEach(async () => {
  if (!server.listening) return
  server.close()
  for (const socket of taken.splice(0)) socket.destroy()
  await once(server, 'close')
})

describe('measuring the room of a router', () => {
  it('begins one connection where the port takes it, and resets it', async () => {
    expect(await measureRoom(SERVERS, stopping.signal, port)).toBeUndefined()
    expect(taken).toHaveLength(1)
    const [socket] = taken
    // `once` of the events would take the reset for a failure.
    if (socket?.closed === false) await new Promise((resolve) => socket.once('close', resolve))
    expect(socket?.closed).toBe(true)
  })

  it('finds out nothing of a server that is so near that the first answer comes before the last question', async () => {
    server.close()
    await once(server, 'close')
    expect(await measureRoom(SERVERS, stopping.signal, port)).toBeUndefined()
  })

  it('ends when it is stopped', async () => {
    const room = measureRoom(SERVERS, stopping.signal, port)
    stopping.abort()
    expect(await room).toBeUndefined()
    expect(await measureRoom(SERVERS, stopping.signal, port)).toBeUndefined()
    expect(taken.length).toBeLessThanOrEqual(1)
  })
})
