import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { bridgeControl } from '../../../../src/hub/io/control-bridge.js'
import {
  type ChannelListener,
  type ControlChannel,
  listenForChannels,
} from '../../../../src/hub/io/control-channel.js'
import { type Endpoint, formatEndpoint } from '../../../../src/net/endpoint.js'
import { ipFromBytes } from '../../../../src/net/ip.js'

const REMOTE: Endpoint = { address: ipFromBytes(Uint8Array.of(192, 0, 2, 7)), port: 4321, scopeId: 0 }

let directory: string
let listener: ChannelListener
let web: Server
let channels: { channel: ControlChannel; remote: Endpoint }[]

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'overlay-channel-'))
  const path = join(directory, 'control.sock')
  channels = []
  listener = await listenForChannels(path, (channel, remote) => channels.push({ channel, remote }))
  web = createServer()
  const sockets = new WebSocketServer({ server: web, perMessageDeflate: false })
  sockets.on('connection', (socket) => bridgeControl(socket, REMOTE, path))
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', () => resolve()))
})

afterEach(async () => {
  for (const { channel } of channels) channel.terminate()
  web.closeAllConnections()
  await new Promise<void>((resolve) => web.close(() => resolve()))
  await listener.stop()
  rmSync(directory, { recursive: true })
})

async function dialled(): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${(web.address() as AddressInfo).port}/`)
  await new Promise<void>((resolve) => socket.once('open', () => resolve()))
  return socket
}

async function accepted(): Promise<{ channel: ControlChannel; remote: Endpoint }> {
  while (channels[0] === undefined) await new Promise((resolve) => setImmediate(resolve))
  return channels[0]
}

async function nextMessage(socket: WebSocket): Promise<string> {
  return await new Promise((resolve) => socket.once('message', (data) => resolve(String(data))))
}

describe('control connections between the process that listens and the one that decides', () => {
  it('arrive with the far end that the listening process sees, and messages stay whole both ways', async () => {
    const node = await dialled()
    node.send(Buffer.from('one'))
    node.send(Buffer.from('two'))
    const { channel, remote } = await accepted()
    expect(formatEndpoint(remote)).toBe('192.0.2.7:4321')
    const heard: string[] = []
    await new Promise<void>((resolve) => {
      channel.start({
        onMessage(message) {
          heard.push(message.toString())
          if (heard.length === 2) resolve()
        },
        onClosed: () => undefined,
      })
    })
    expect(heard).toEqual(['one', 'two'])
    const answer = nextMessage(node)
    channel.send(Buffer.alloc(70_000, 'x'))
    expect(await answer).toHaveLength(70_000)
    node.terminate()
  })

  it('end on one side when they end on the other, after what was said before', async () => {
    const node = await dialled()
    const { channel } = await accepted()
    channel.start({ onMessage: () => undefined, onClosed: () => undefined })
    const farewell = nextMessage(node)
    const closed = new Promise<void>((resolve) => node.once('close', () => resolve()))
    channel.send(Buffer.from('farewell'))
    channel.close()
    expect(await farewell).toBe('farewell')
    await closed
  })

  it('end when the node goes away', async () => {
    const node = await dialled()
    const { channel } = await accepted()
    const closed = new Promise<void>((resolve) =>
      channel.start({ onMessage: () => undefined, onClosed: resolve }),
    )
    node.terminate()
    await closed
  })

  it('hold what a node does not read in its own channel, where the hub sees it', async () => {
    const node = await dialled()
    const { channel } = await accepted()
    channel.start({ onMessage: () => undefined, onClosed: () => undefined })
    node.pause()
    const message = Buffer.alloc(100_000)
    while (channel.bufferedAmount < 4 * 1024 * 1024) {
      channel.send(message)
      await new Promise((resolve) => setImmediate(resolve))
    }
    channel.terminate()
    node.terminate()
  })
})
