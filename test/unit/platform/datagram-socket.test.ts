import { Socket } from 'node:dgram'
import { expect, it, vi } from 'vitest'
import { openDatagramSocket } from '../../../src/platform/datagram-socket.js'
import { ip } from '../../support/inner-packets.js'

it('what was sent leaves before the socket closes', async () => {
  const received: Uint8Array[] = []
  let onReceived: () => void = () => undefined
  const done = new Promise<void>((resolve) => {
    onReceived = resolve
  })
  const receiver = await openDatagramSocket(4, (_from, bytes) => {
    received.push(bytes)
    if (received.length === 2) onReceived()
  })
  const sender = await openDatagramSocket(4, () => undefined)
  const to = { address: ip('127.0.0.1'), port: receiver?.port ?? 0, scopeId: 0 }
  sender?.send(to, Uint8Array.of(1))
  sender?.send(to, Uint8Array.of(2))
  await sender?.close()
  await done
  await receiver?.close()
  expect(received).toEqual([Uint8Array.of(1), Uint8Array.of(2)])
})

it('a datagram from port 0 is none: nobody could be answered there', async () => {
  const bind = vi.spyOn(Socket.prototype, 'bind')
  const ports: number[] = []
  const receiver = await openDatagramSocket(4, ({ port }) => ports.push(port))
  const [socket] = bind.mock.contexts
  bind.mockRestore()
  if (!(socket instanceof Socket)) throw new Error('no socket')
  // No ordinary socket sends from there.
  for (const port of [0, 5000]) {
    socket.emit('message', Buffer.of(1), { address: '127.0.0.1', family: 'IPv4', port, size: 1 })
  }
  expect(ports).toEqual([5000])
  await receiver?.close()
})
