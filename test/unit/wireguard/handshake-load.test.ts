import { describe, expect, it } from 'vitest'
import { MAX_QUEUED_HANDSHAKES } from '../../../src/wireguard/constants.js'
import { HandshakeLoad } from '../../../src/wireguard/handshake-load.js'

const NOW_MS = 5_000_000

describe('HandshakeLoad', () => {
  it('starts without load', () => {
    const load = new HandshakeLoad()
    expect(load.isUnderLoad(0)).toBe(false)
    load.arrived(1, NOW_MS)
    expect(load.isUnderLoad(NOW_MS)).toBe(false)
  })

  it('is under load for one second after the queue was an eighth full', () => {
    const load = new HandshakeLoad()
    load.arrived(MAX_QUEUED_HANDSHAKES / 8 - 1, NOW_MS)
    expect(load.isUnderLoad(NOW_MS)).toBe(false)
    load.arrived(MAX_QUEUED_HANDSHAKES / 8, NOW_MS)
    expect(load.isUnderLoad(NOW_MS)).toBe(true)
    expect(load.isUnderLoad(NOW_MS + 999)).toBe(true)
    expect(load.isUnderLoad(NOW_MS + 1000)).toBe(false)
  })

  it('is under load when more than 500 messages came within a second', () => {
    const load = new HandshakeLoad()
    for (let i = 0; i < 500; i++) load.arrived(1, NOW_MS + 1.5 * i)
    expect(load.isUnderLoad(NOW_MS + 750)).toBe(false)
    load.arrived(1, NOW_MS + 750)
    expect(load.isUnderLoad(NOW_MS + 750)).toBe(true)
  })

  it('stays calm at 400 messages a second for as long as that lasts', () => {
    const load = new HandshakeLoad()
    for (let i = 0; i < 8000; i++) {
      load.arrived(1, NOW_MS + 2.5 * i)
      expect(load.isUnderLoad(NOW_MS + 2.5 * i)).toBe(false)
    }
  })

  it('stays under load while the flood lasts, and forgets it after a pause', () => {
    const load = new HandshakeLoad()
    for (let i = 0; i < 3000; i++) load.arrived(1, NOW_MS + i)
    expect(load.isUnderLoad(NOW_MS + 2999)).toBe(true)
    load.arrived(1, NOW_MS + 10_000)
    expect(load.isUnderLoad(NOW_MS + 10_000)).toBe(false)
  })
})
