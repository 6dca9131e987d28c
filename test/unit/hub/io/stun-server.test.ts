import { Socket } from 'node:dgram'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { formatHex } from '../../../../src/base/bytes.js'
import { StunServer } from '../../../../src/hub/io/stun-server.js'
import { decodeStun, encodeBindingRequest } from '../../../../src/paths/stun.js'
import { tryUnveil, veil } from '../../../../src/paths/veil.js'
import { openDatagramSocket } from '../../../../src/platform/datagram-socket.js'
import { countingBytes } from '../../../support/hex.js'
import { ip } from '../../../support/inner-packets.js'

const HOST = '127.0.0.1'
const QUESTION = encodeBindingRequest(countingBytes(12, 1))

let server: StunServer
let socket: Socket

beforeEach(async () => {
  const bind = vi.spyOn(Socket.prototype, 'bind')
  server = await StunServer.open({ addresses: [ip(HOST)], ports: [0], hint: '', nowMs: () => 0 })
  const [bound] = bind.mock.contexts
  bind.mockRestore()
  if (!(bound instanceof Socket)) throw new Error('no socket')
  socket = bound
})
afterEach(async () => await server.close())

/** As if it came from this port: no ordinary socket sends from port 0. */
function receiveFrom(port: number): void {
  socket.emit('message', QUESTION, { address: HOST, family: 'IPv4', port, size: QUESTION.length })
}

it('passes over a question from port 0, and goes on answering others', async () => {
  receiveFrom(0)
  expect([server.answered, server.ignored]).toEqual([0, 0])
  let onAnswer: (bytes: Uint8Array) => void = () => undefined
  const answer = new Promise<Uint8Array>((resolve) => {
    onAnswer = resolve
  })
  const client = await openDatagramSocket(4, (_from, bytes) => onAnswer(bytes))
  client?.send({ address: ip(HOST), port: socket.address().port, scopeId: 0 }, QUESTION)
  expect(decodeStun(await answer)?.class).toBe('success')
  expect(server.answered).toBe(1)
  await client?.close()
})

it('answers a question under a veil with an answer under the same, and nothing longer', async () => {
  let onAnswer: (bytes: Uint8Array) => void = () => undefined
  const answer = new Promise<Uint8Array>((resolve) => {
    onAnswer = resolve
  })
  const client = await openDatagramSocket(4, (_from, bytes) => onAnswer(bytes))
  const question = veil(QUESTION, countingBytes)
  client?.send({ address: ip(HOST), port: socket.address().port, scopeId: 0 }, question)
  const bytes = await answer
  const message = tryUnveil(bytes)
  expect(message && decodeStun(message)?.class).toBe('success')
  expect(formatHex(bytes.subarray(0, 8))).toBe(formatHex(question.subarray(0, 8)))
  expect(server.answered).toBe(1)
  await client?.close()
})
