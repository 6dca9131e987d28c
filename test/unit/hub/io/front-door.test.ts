import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { createCertificate } from '../../../../src/hub/io/certificate.js'
import { FrontDoor } from '../../../../src/hub/io/front-door.js'
import { decodeStun, encodeBindingRequest, mappedEndpoint } from '../../../../src/paths/stun.js'
import { countingBytes } from '../../../support/hex.js'

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

describe('whoever goes on no further', () => {
  const STEP_TIMEOUT_MS = 40
  let strict: FrontDoor

  beforeAll(async () => {
    strict = await FrontDoor.open({
      host: HOST,
      port: 0,
      certificate: createCertificate('front door'),
      onRelay: () => undefined,
      onControl: () => undefined,
      stepTimeoutMs: STEP_TIMEOUT_MS,
    })
  })
  afterAll(async () => await strict.close())

  /** Says each part a while after the one before; resolves when the other end has closed. */
  async function dwell(socket: Socket, parts: readonly (Uint8Array | string)[]): Promise<void> {
    socket.on('error', () => undefined)
    socket.resume()
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
    let next = 0
    const timer = setInterval(() => {
      const part = parts[next++]
      if (part !== undefined && socket.writable) socket.write(part)
    }, STEP_TIMEOUT_MS / 4)
    await closed
    clearInterval(timer)
  }
  const connectPlain = (): Socket => connect(strict.port, HOST)
  const connectInside = (): Socket => connectTls({ host: HOST, port: strict.port, rejectUnauthorized: false })

  it.each<[string, () => Socket, (Uint8Array | string)[]]>([
    ['nothing at all', connectPlain, []],
    ['one letter of a request', connectPlain, ['G']],
    ['a request without an end', connectPlain, ['GET / HTTP/1.1\r\n']],
    ['a request that drips', connectPlain, [...'GET / HTTP/1.1\r\nHost: a.b.c.d.e.f.g.h.i.j.k']],
    ['a byte of TLS', connectPlain, [Uint8Array.of(0x16)]],
    ['nothing inside TLS', connectInside, []],
    ['one letter inside TLS', connectInside, ['G']],
    [
      'a WebSocket with a wrong key',
      connectPlain,
      ['GET /control HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
    ],
  ])('is let go: %s', async (_what, open, parts) => {
    await dwell(open(), parts)
    await expect.poll(() => strict.strangers).toBe(0)
  })

  it('is counted, and nobody else', async () => {
    const before = strict.turnedAway
    await dwell(connectPlain(), ['G'])
    expect(strict.turnedAway).toBe(before + 1)
    const answer = await exchange(connectPlain(), 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    expect(answer).toMatch(/an overlay hub/)
    expect(strict.turnedAway).toBe(before + 1)
  })
})

describe('STUN over TCP', () => {
  const QUESTION = encodeBindingRequest(countingBytes(12, 1))

  /** Gives all that comes back until the connection ends, or `wanted` bytes are there. */
  async function ask(
    parts: readonly Uint8Array[],
    wanted: number,
  ): Promise<{ answer: Uint8Array; port: number }> {
    const socket = connect({ host: HOST, port: door.port, noDelay: true })
    let answer: Uint8Array = new Uint8Array(0)
    const port = await new Promise<number>((resolve) => {
      socket.once('connect', async () => {
        const { localPort = 0 } = socket
        socket.once('close', () => resolve(localPort))
        for (const part of parts) await new Promise<void>((sent) => socket.write(part, () => sent()))
      })
      socket.on('error', () => undefined)
      socket.on('data', (chunk: Buffer) => {
        answer = Buffer.concat([answer, chunk])
        if (answer.length >= wanted) socket.destroy()
      })
    })
    return { answer, port }
  }

  it.each([
    ['whole', [QUESTION]],
    ['in pieces', [QUESTION.subarray(0, 1), QUESTION.subarray(1, 15), QUESTION.subarray(15)]],
  ])('tells whoever asks, %s, as whom the connection is seen', async (_how, parts) => {
    const { answer, port } = await ask(parts, 20)
    const message = decodeStun(answer)
    expect(message?.class).toBe('success')
    expect(message && mappedEndpoint(message)?.port).toBe(port)
  })

  it.each([
    ['what is none', new Uint8Array(100)],
    ['a length beyond all questions', Uint8Array.of(0, 1, 0x40, 0, ...new Uint8Array(20))],
  ])('ends with %s, without an answer', async (_what, bytes) => {
    expect((await ask([bytes], 1)).answer).toHaveLength(0)
  })

  it('answers no more than a few times on one connection', async () => {
    const { answer } = await ask(Array<Uint8Array>(10).fill(QUESTION), 10_000)
    const one = (await ask([QUESTION], 20)).answer.length
    expect(answer.length / one).toBeLessThanOrEqual(4)
  })
})
