import { beforeEach, describe, expect, it } from 'vitest'
import { Netmap, type NetmapNode } from '../../../../src/control/netmap.js'
import { Pins } from '../../../../src/control/pins.js'
import { FrameCarrier, relayEndpoint } from '../../../../src/daemon/network/frame-carrier.js'
import { FRAME_HEADROOM_BYTES } from '../../../../src/dataplane/contract.js'
import type { Endpoint } from '../../../../src/net/endpoint.js'
import { nobleCrypto } from '../../../../src/wireguard/crypto-noble.js'
import { infoOf, prefixOf, testNode, WALL_MS } from '../../../support/control.js'

const PREFIX6 = prefixOf('fd00:1:2::/48')
const ALICE = testNode(1)
const FRAME_PORT = 7

let ways: string[]
let delivered: Endpoint[]
let isRelayUp: boolean
let isHubUp: boolean
let nowMs: number
let node: NetmapNode
let carrier: FrameCarrier

beforeEach(() => {
  ways = []
  delivered = []
  isRelayUp = false
  isHubUp = true
  nowMs = 1000
  const netmap = new Netmap({
    crypto: nobleCrypto,
    prefix4: prefixOf('100.64.0.0/16'),
    prefix6: PREFIX6,
    pins: new Pins(),
    ownIdentity: testNode(2).identity.text,
    wallNowMs: () => WALL_MS,
    isWelcome: () => true,
  })
  netmap.apply({ type: 'nodes', changed: [infoOf(ALICE, PREFIX6, { name: 'alice' })], removed: [] })
  node = netmap.find(ALICE.identity.text) as NetmapNode
  carrier = new FrameCarrier({
    engine: { deliver: (_port, remote) => void delivered.push(remote) },
    framePort: FRAME_PORT,
    tcp: { send: () => void ways.push('tcp') },
    relays: {
      send: () => {
        if (isRelayUp) ways.push('relay')
        return isRelayUp
      },
      keep: () => void ways.push('kept'),
    },
    hub: {
      send: () => {
        if (isHubUp) ways.push('hub')
        return isHubUp
      },
    },
    nodeAt: () => node,
    nodeOf: (identity) => (identity === ALICE.identity.text ? node : undefined),
    nowMs: () => nowMs,
  })
})

function send(remote: Endpoint, isControl = true): void {
  const frame = new Uint8Array(FRAME_HEADROOM_BYTES + 148)
  const event = { kind: 'frames', port: FRAME_PORT, remote, frame, segmentBytes: 0, isControl } as const
  carrier.send(event)
}

describe('a message to a peer without a path', () => {
  it('goes once: over a relay, else over the hub, else it waits', () => {
    send(relayEndpoint(node))
    isHubUp = false
    send(relayEndpoint(node))
    isRelayUp = true
    isHubUp = true
    send(relayEndpoint(node))
    expect(ways).toEqual(['hub', 'kept', 'relay'])
  })

  it('that answers what came by the hub goes by the hub, whatever else there is', () => {
    isRelayUp = true
    carrier.deliverSignal(ALICE.identity.text, 'AAAA')
    const [from] = delivered
    if (from === undefined) throw new Error('nothing came')
    send(from)
    expect(ways).toEqual(['hub'])
    isHubUp = false
    send(from)
    expect(ways).toEqual(['hub', 'relay'])
  })

  it('goes both ways once the peer has been silent for a while, and once again when it speaks', () => {
    isRelayUp = true
    send(relayEndpoint(node))
    nowMs += 800
    send(relayEndpoint(node), false)
    send(relayEndpoint(node))
    expect(ways).toEqual(['relay', 'relay', 'relay', 'hub'])
    carrier.deliver(ALICE.identity.text, 0, new Uint8Array(32))
    ways = []
    send(relayEndpoint(node))
    nowMs += 600
    send(relayEndpoint(node))
    expect(ways).toEqual(['relay', 'relay'])
    node = { ...node, isOnline: false }
    send(relayEndpoint(node))
    nowMs += 5000
    send(relayEndpoint(node))
    expect(ways).not.toContain('hub')
  })

  it('with data in it never goes by the hub', () => {
    carrier.deliverSignal(ALICE.identity.text, 'AAAA')
    for (const remote of [...delivered, relayEndpoint(node)]) send(remote, false)
    expect(ways).toEqual([])
  })
})
