import { Socket } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { Admission } from '../../../../src/hub/io/admission.js'

const MAX_STRANGERS = 2048

let sockets: Socket[] = []
afterEach(() => {
  for (const socket of sockets) socket.destroy()
  sockets = []
})

function socketFrom(remoteAddress: string): Socket {
  const socket = new Socket()
  Object.defineProperty(socket, 'remoteAddress', { value: remoteAddress })
  sockets.push(socket)
  return socket
}

it('lets a flood push out itself, and whoever was taken over is no stranger', () => {
  const admission = new Admission()
  const honest = socketFrom('192.0.2.1')
  admission.enter(honest)
  const member = socketFrom('2001:db8::1')
  admission.enter(member).leave()
  const flood = Array.from({ length: MAX_STRANGERS + 10 }, (_, i) =>
    socketFrom(`2001:db8:0:1::${(i % 1000).toString(16)}`),
  )
  for (const socket of flood) admission.enter(socket)
  expect(flood.flatMap(({ destroyed }, i) => (destroyed ? [i] : []))).toEqual(
    Array.from({ length: 11 }, (_, i) => i),
  )
  expect([honest.destroyed, member.destroyed]).toEqual([false, false])
  expect(admission.size).toBe(MAX_STRANGERS)
  expect(admission.counters).toEqual({ late: 0, crowdedOut: 11 })
})
