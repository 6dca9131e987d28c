import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { createCertificate } from '../../../src/hub/io/certificate.js'
import { FrontDoor } from '../../../src/hub/io/front-door.js'

const HOST = '127.0.0.1'
const FRAME = Uint8Array.of(4, 0, 2, 7, 8)

let door: FrontDoor
let relayed: Uint8Array[]
let controlled: number

beforeAll(async () => {
  relayed = []
  controlled = 0
  door = await FrontDoor.open({
    host: HOST,
    port: 0,
    certificate: createCertificate('front door'),
    onRelay: (stream) => {
      stream.start({
        onBytes: (bytes) => {
          relayed.push(new Uint8Array(bytes))
          stream.write(bytes)
        },
        onDrain: () => undefined,
        onClosed: () => undefined,
      })
    },
    onControl: (socket) => {
      controlled += 1
      socket.close()
    },
  })
})
afterAll(async () => await door.close())

/** Sends something and gives what comes back. */
async function exchange(socket: Socket, bytes: Uint8Array | string): Promise<string> {
  return await new Promise((resolve, reject) => {
    socket.once('error', reject)
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1')
      // Relayed frames come back at once; HTTP ends by itself.
      if (typeof bytes !== 'string') socket.destroy()
    })
    socket.once('close', () => resolve(answer))
    socket.write(bytes)
  })
}

function tls(): Socket {
  return connectTls({ host: HOST, port: door.port, rejectUnauthorized: false })
}

async function webSocket(path: string, socket: () => Socket): Promise<WebSocket> {
  const client = new WebSocket(`ws://${HOST}:${door.port}${path}`, { createConnection: socket })
  await new Promise((resolve, reject) => client.once('open', resolve).once('error', reject))
  return client
}

const plain = (): Socket => connect(door.port, HOST)
const text = Buffer.from(FRAME).toString('latin1')

describe('one port', () => {
  it('takes relay frames as they are, and inside TLS', async () => {
    expect(await exchange(plain(), FRAME)).toBe(text)
    expect(await exchange(tls(), FRAME)).toBe(text)
    expect(relayed).toEqual([FRAME, FRAME])
  })

  it.each([
    ['plain', plain],
    ['TLS', tls],
  ])('takes WebSockets for relay and control, %s', async (_way, socket) => {
    const relay = await webSocket('/relay?from=here', socket)
    relay.send(FRAME)
    expect(await new Promise((resolve) => relay.once('message', (data) => resolve(data)))).toEqual(
      Buffer.from(FRAME),
    )
    relay.terminate()
    const before = controlled
    const control = await webSocket('/control', socket)
    await new Promise((resolve) => control.once('close', resolve))
    expect(controlled).toBe(before + 1)
  })

  it('says what it is to browsers, and nothing else', async () => {
    expect(await exchange(plain(), 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 404 .*an overlay hub/s,
    )
    await expect(webSocket('/elsewhere', plain)).rejects.toThrow('404')
    expect(await exchange(plain(), 'BROKEN\r\n\r\n')).toMatch(/^HTTP\/1\.1 400/)
  })

  it('survives what is no TLS', async () => {
    const socket = plain()
    socket.on('error', () => undefined)
    socket.resume()
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.write(Uint8Array.of(0x16, 3, 1, 0, 5, 7, 7, 7, 7, 7))
    await closed
    expect(await exchange(plain(), FRAME)).toBe(text)
  })

  it('says so when the port is taken', async () => {
    const again = FrontDoor.open({
      host: HOST,
      port: door.port,
      certificate: undefined,
      onRelay: () => undefined,
      onControl: () => undefined,
    })
    await expect(again).rejects.toMatchObject({
      errno: 'EADDRINUSE',
      hint: expect.stringContaining('--port'),
    })
  })
})
