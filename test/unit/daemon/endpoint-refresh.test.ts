import { describe, expect, it } from 'vitest'
import { createLogger } from '../../../src/base/log.js'
import { parseConfig } from '../../../src/config/parse.js'
import { EndpointRefresh } from '../../../src/daemon/endpoint-refresh.js'
import type { Endpoint } from '../../../src/net/endpoint.js'
import { formatEndpoint } from '../../../src/net/endpoint.js'
import { ipFromBytes } from '../../../src/net/ip.js'
import type { DeviceSnapshot, DeviceUpdate, PeerSnapshot } from '../../../src/wireguard/configuration.js'
import { type PublicKey, tryParseKeyBase64 } from '../../../src/wireguard/keys.js'

const KEY_TEXT = 'OwdegSTyhlw7Dbpg8VJUBKXF9CxoQp2gAOdwgqtPVBI='
const KEY = tryParseKeyBase64<PublicKey>(KEY_TEXT) as PublicKey
const HERE: Endpoint = { address: ipFromBytes(Uint8Array.of(192, 0, 2, 1)), port: 9, scopeId: 0 }
const THERE: Endpoint = { ...HERE, address: ipFromBytes(Uint8Array.of(192, 0, 2, 2)) }

interface Trial {
  readonly refresh: EndpointRefresh
  readonly updates: DeviceUpdate[]
  readonly asked: () => number
  passMs(ms: number): void
}

function setUp(host: string, answer: () => Endpoint | readonly [Endpoint, Endpoint, Endpoint]): Trial {
  const updates: DeviceUpdate[] = []
  let asked = 0
  let nowMs = 1000
  const peer = { publicKey: KEY, endpoint: HERE } as Partial<PeerSnapshot> as PeerSnapshot
  const snapshot = { peers: [peer] } as Partial<DeviceSnapshot> as DeviceSnapshot
  const config = parseConfig(`[Interface]\n[Peer]\nPublicKey = ${KEY_TEXT}\nEndpoint = ${host}:9\n`, 'test')
  const refresh = new EndpointRefresh({
    config: () => config,
    engine: () => ({ configure: (update) => void updates.push(update), snapshot: () => snapshot }),
    resolve: async () => {
      asked += 1
      const found = answer()
      return 'port' in found ? [found] : found
    },
    bootNowMs: () => nowMs,
    log: createLogger({ level: 'error', write: () => undefined, wallNowMs: () => 0 }),
  })
  const passMs = (ms: number): void => {
    nowMs += ms
  }
  return { refresh, updates, asked: () => asked, passMs }
}

describe('a peer whose handshakes stay unanswered', () => {
  it('is sought where its name leads now', async () => {
    const { refresh, updates } = setUp('a.example', () => THERE)
    await refresh.handleFailing(KEY)
    const [change] = updates[0]?.peers ?? []
    expect(change).toMatchObject({ updateOnly: true, allowedIps: [] })
    expect(change?.endpoint === undefined ? '' : formatEndpoint(change.endpoint)).toBe('192.0.2.2:9')
  })

  it('is sought at the next of several addresses, and after the last at the first', async () => {
    const other: Endpoint = { ...HERE, address: ipFromBytes(Uint8Array.of(192, 0, 2, 3)) }
    const sought = async (...answer: readonly [Endpoint, Endpoint, Endpoint]): Promise<unknown> => {
      const { refresh, updates } = setUp('a.example', () => answer)
      await refresh.handleFailing(KEY)
      return updates[0]?.peers?.[0]?.endpoint
    }
    expect(await sought(HERE, THERE, other)).toEqual(THERE)
    expect(await sought(other, THERE, HERE)).toEqual(other)
    expect(await sought(THERE, other, other)).toEqual(THERE)
  })

  it('is left alone if its name leads where it was', async () => {
    const { refresh, updates, asked } = setUp('a.example', () => HERE)
    await refresh.handleFailing(KEY)
    expect([asked(), updates.length]).toEqual([1, 0])
  })

  it('is not asked for more than once in a while', async () => {
    const { refresh, asked, passMs } = setUp('a.example', () => HERE)
    await refresh.handleFailing(KEY)
    passMs(14_999)
    await refresh.handleFailing(KEY)
    expect(asked()).toBe(1)
    passMs(1)
    await refresh.handleFailing(KEY)
    expect(asked()).toBe(2)
  })

  it('is not asked for if the file gives an address', async () => {
    const { refresh, asked } = setUp('192.0.2.1', () => THERE)
    await refresh.handleFailing(KEY)
    expect(asked()).toBe(0)
  })

  it('does no harm when the name cannot be resolved', async () => {
    const { refresh, updates } = setUp('a.example', () => {
      throw new Error('ENOTFOUND')
    })
    await expect(refresh.handleFailing(KEY)).resolves.toBeUndefined()
    expect(updates).toEqual([])
  })
})
