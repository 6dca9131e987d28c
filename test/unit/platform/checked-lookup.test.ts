import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { formatIp } from '../../../src/net/ip.js'
import type { AddressCheck } from '../../../src/platform/checked-lookup.js'
import { dial } from '../../../src/platform/dial.js'
import { timeTcpConnect } from '../../../src/platform/tcp-reach.js'

describe('a connection to addresses that pass a check', () => {
  let server: Server
  let accepted: number
  let asked: string[]
  let port: number

  beforeEach(async () => {
    accepted = 0
    asked = []
    server = createServer((socket) => {
      accepted += 1
      socket.on('error', () => undefined)
      socket.end('hello')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  })
  afterEach(() => server.close())

  const check = (isAllowed: boolean): AddressCheck => {
    return (address) => {
      asked.push(formatIp(address))
      return Promise.resolve(isAllowed)
    }
  }

  const connect = async (host: string, isAllowed: boolean): Promise<void> => {
    const request = { to: { host, port }, isTls: false, proxy: undefined, isAllowed: check(isAllowed) }
    const socket = await dial({ ...request, signal: AbortSignal.timeout(5000) })
    socket.destroy()
  }

  it.each(['127.0.0.1', 'localhost'])('is made to %s where it passes', async (host) => {
    await connect(host, true)
    expect(asked).toContain('127.0.0.1')
  })

  it.each(['127.0.0.1', 'localhost'])('is not made to %s where it does not, nor timed', async (host) => {
    await expect(connect(host, false)).rejects.toThrow(
      'is in a local network where the hub is not, or inside a network of this machine',
    )
    const options = { timeoutMs: 5000, nowMs: () => 0, isAllowed: check(false) }
    expect(await timeTcpConnect({ host, port }, options)).toBeUndefined()
    expect(asked.length).toBeGreaterThan(0)
    expect(accepted).toBe(0)
  })
})
