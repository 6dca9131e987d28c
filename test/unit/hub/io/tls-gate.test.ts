import { Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Stranger } from '../../../../src/hub/io/admission.js'
import { createCertificate } from '../../../../src/hub/io/certificate.js'
import { TlsGate } from '../../../../src/hub/io/tls-gate.js'

const BURST = 100
const MAX_WAITING = 512

let nowMs: number
let gate: TlsGate
let begun: string[]
const sockets: Socket[] = []

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  nowMs = 0
  begun = []
  gate = new TlsGate(createCertificate('gate'), () => nowMs)
})
afterEach(() => {
  gate.stop()
  for (const socket of sockets.splice(0)) socket.destroy()
  vi.useRealTimers()
})

function enter(source: number, name: string): Socket {
  const socket = new Socket()
  sockets.push(socket)
  const remote = { address: { family: 4 as const, bytes: new Uint8Array(4) }, port: 1, scopeId: 0 }
  const stranger: Stranger = { socket, remote, source, nextStep: () => undefined, leave: () => undefined }
  gate.enter(stranger, (inside) => {
    inside.on('error', () => undefined)
    begun.push(name)
  })
  return socket
}

function pass(ms: number): void {
  nowMs += ms
  vi.advanceTimersByTime(ms)
}

describe('TLS handshakes', () => {
  it('begin at a bounded rate, and whoever comes beside a flood has its turn', () => {
    for (let i = 0; i < 300; i++) enter(1, 'flood')
    expect(begun).toHaveLength(BURST)
    enter(2, 'honest')
    pass(10)
    expect(begun).toHaveLength(BURST + 2)
    expect(begun).toContain('honest')
    for (let i = 0; i < 100; i++) pass(10)
    expect(begun).toHaveLength(301)
  })

  it('of too many that wait, the oldest of the busiest source gives way', () => {
    for (let i = 0; i < BURST; i++) enter(1, 'begun')
    const honest = enter(2, 'honest')
    const waiting = Array.from({ length: MAX_WAITING }, () => enter(1, 'flood'))
    expect(waiting.flatMap(({ destroyed }, i) => (destroyed ? [i] : []))).toEqual([0])
    expect([honest.destroyed, gate.crowdedOut]).toEqual([false, 1])
  })
})
