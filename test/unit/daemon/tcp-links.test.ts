import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { TcpLinks } from '../../../src/daemon/network/tcp-links.js'
import { FRAME_HEADROOM_BYTES } from '../../../src/dataplane/contract.js'
import type { PublicKey } from '../../../src/wireguard/keys.js'
import { countingBytes, hex } from '../../support/hex.js'
import { endpoint } from '../../support/simulated-nat.js'

const KEY = countingBytes(32, 1) as PublicKey
const PEER = { peer: 1, publicKey: KEY }
/** What a probe looks like from outside. */
const PROBE = new Uint8Array([...hex('6f766c01'), ...countingBytes(80, 9)])

function framed(message: Uint8Array): Uint8Array {
  return new Uint8Array([14, 0, message.length + 2, 0, message.length, ...message])
}

describe('TCP connections of other nodes', () => {
  let links: TcpLinks
  let port: number
  let heard: [number, Uint8Array][]
  let closed: number[]
  let dialled: number[]
  let onHeard: () => void
  let isInside: boolean

  beforeEach(async () => {
    isInside = false
    heard = []
    closed = []
    dialled = []
    onHeard = () => undefined
    links = new TcpLinks({
      isOverlay: ({ bytes }) => isInside && bytes[0] === 127,
      onMessages: (number, _segmentBytes, messages) => {
        heard.push([number, new Uint8Array(messages)])
        onHeard()
      },
      onReady: () => undefined,
      onDialled: (_key, number) => dialled.push(number),
      onClosed: (_key, number) => closed.push(number),
    })
    // The first port that is free: somebody else may take one between two calls.
    for (port = 34_500; !(await links.listen(port)); port++);
  })
  afterEach(() => links.stop())

  async function stranger(bytes: Uint8Array): Promise<Socket> {
    const socket = connect({ host: '127.0.0.1', port })
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    socket.write(bytes)
    socket.resume()
    return socket
  }

  async function untilHeard(): Promise<void> {
    if (heard.length === 0) await new Promise<void>((resolve) => (onHeard = resolve))
  }

  it('carry probes at first, and everything once the peer has answered', async () => {
    const socket = await stranger(framed(PROBE))
    await untilHeard()
    const [[number] = [0]] = heard
    expect(heard).toEqual([[number, PROBE]])
    links.keep(KEY, number)
    socket.write(framed(hex('04000000 0102')))
    await new Promise<void>((resolve) => (onHeard = resolve))
    expect(heard[1]).toEqual([number, hex('04000000 0102')])

    const answer = once(socket, 'data')
    const frame = new Uint8Array(FRAME_HEADROOM_BYTES + 3).fill(7)
    links.send(number, frame, 3, false)
    expect(new Uint8Array(((await answer) as [Buffer])[0])).toEqual(hex('0e 0005 0003 070707'))
    socket.destroy()
    await expect.poll(() => closed).toEqual([number])
  })

  it('are neither taken from inside an overlay, nor kept when a route leads them there', async () => {
    const socket = await stranger(framed(PROBE))
    await untilHeard()
    const [[number] = [0]] = heard
    links.keep(KEY, number)
    isInside = true
    links.closeOverlays()
    await once(socket, 'close')
    expect(closed).toEqual([number])
    await once(await stranger(framed(PROBE)), 'close')
    expect([heard.length, links.counters.inside]).toEqual([1, 2])
  })

  it.each([
    ['data before a probe', framed(hex('04000000 0102'))],
    ['a frame for a relay', Uint8Array.of(9, 0, 2, 1, 1)],
    ['several probes in one frame', new Uint8Array([14, 0, 90, 0, 44, ...PROBE, ...hex('01020304')])],
  ])('end with %s, counted', async (_what, bytes) => {
    const socket = await stranger(bytes)
    await once(socket, 'close')
    expect([heard, links.counters.unproven]).toEqual([[], 1])
  })

  it('give way to newer ones while they prove nothing', async () => {
    const sockets = await Promise.all(
      Array.from({ length: 70 }, async () => await stranger(new Uint8Array(0))),
    )
    await expect.poll(() => sockets.filter(({ destroyed }) => destroyed).length).toBe(6)
    expect(links.counters.unproven).toBe(6)
    for (const socket of sockets) socket.destroy()
  })

  it('are made to where a node listens, and end with stop', async () => {
    const other = new TcpLinks({
      isOverlay: () => false,
      onMessages: () => undefined,
      onReady: () => undefined,
      onDialled: (_key, number) => dialled.push(number),
      onClosed: () => undefined,
    })
    await other.prepare(PEER, [])
    other.dial(PEER, [endpoint('127.0.0.1', port)])
    await expect.poll(() => dialled.length).toBe(1)
    expect(other.remoteOf(dialled[0] ?? 0)).toEqual(endpoint('127.0.0.1', port))
    other.stop()
    expect(other.remoteOf(dialled[0] ?? 0)).toBeUndefined()
  })

  it('are not taken any more after stop, nor is a port that somebody has', async () => {
    const other = new TcpLinks({
      isOverlay: () => false,
      onMessages: () => undefined,
      onReady: () => undefined,
      onDialled: () => undefined,
      onClosed: () => undefined,
    })
    expect(await other.listen(port)).toBe(false)
    links.stop()
    await expect.poll(async () => await other.listen(port)).toBe(true)
    other.stop()
  })
})
