/** The portable data plane over fake ports, as the compliance suite wants it. */

import type { DataPlaneEvent } from '../../src/dataplane/contract.js'
import { createPortableDataPlane } from '../../src/dataplane/portable/portable-data-plane.js'
import type { Crypto } from '../../src/wireguard/crypto.js'
import type { DataPlaneHarness, HarnessSocket } from './data-plane-harness.js'
import { type FakeDatagram, FakeInnerPort, FakeNetwork, type FakeOuterPort } from './fake-ports.js'
import { ip } from './inner-packets.js'

export interface PortableHarness extends DataPlaneHarness {
  readonly inner: FakeInnerPort
  readonly outerPorts: readonly FakeOuterPort[]
  /** Called with every batch of events, after it was noted. */
  onEvents: (events: readonly DataPlaneEvent[]) => void
}

const LOCALS_V4 = [ip('192.0.2.1'), ip('192.0.2.2')] as const
const LOCALS_V6 = [ip('2001:db8::1'), ip('2001:db8::2')] as const

export async function createPortableHarness(crypto: Crypto): Promise<PortableHarness> {
  let nowMs = 1_000_000
  const inner = new FakeInnerPort()
  const network = new FakeNetwork()
  const outerPorts: FakeOuterPort[] = []
  let sent: FakeDatagram[] = []
  let events: DataPlaneEvent[] = []
  network.onSend = (datagram) => sent.push(datagram)
  const plane = createPortableDataPlane({
    inner,
    openOuterPort: network.machine([...LOCALS_V4, ...LOCALS_V6], (port) => outerPorts.push(port)),
    crypto,
    capacity: 4,
    nowMs: () => nowMs,
    mtu: 1420,
    listener: (batch) => {
      events.push(...batch)
      harness.onEvents(batch)
    },
  })
  const v4 = plane.openSocket({ family: 4, port: 51820, mark: 0 })
  const v6 = plane.openSocket({ family: 6, port: 51820, mark: 0 })
  const harness: PortableHarness = {
    plane,
    inner,
    outerPorts,
    onEvents: () => undefined,
    v4: { ...v4, locals: LOCALS_V4, remotes: remotesAt('198.51.100.7', '203.0.113.9') },
    v6: { ...v6, locals: LOCALS_V6, remotes: remotesAt('2001:db8:1::7', '2001:db8:2::9') },
    nowMs: () => nowMs,
    pass: async (ms) => {
      nowMs += ms
    },
    injectPackets: async (...packets) => inner.inject(...packets),
    takePackets: async () => inner.takeWritten(),
    injectDatagrams: async (datagrams) => {
      for (const family of [4, 6] as const) {
        const own = datagrams.filter(({ from }) => from.address.family === family)
        const { locals, port } = family === 4 ? harness.v4 : harness.v6
        outerPorts[family === 4 ? 0 : 1]?.receive(
          ...own.map(({ from, bytes, tos = 0, to = locals[0] }) => {
            return { from, bytes, tos, to: { address: to, port, scopeId: 0 } }
          }),
        )
      }
    },
    takeDatagrams: async () => {
      const taken = sent
      sent = []
      return taken
    },
    takeEvents: async () => {
      const taken = events
      events = []
      return taken
    },
    stop: () => plane.stop(),
  }
  return harness
}

function remotesAt(first: string, second: string): HarnessSocket['remotes'] {
  return [
    { address: ip(first), port: 40_001, scopeId: 0 },
    { address: ip(second), port: 40_001, scopeId: 0 },
    { address: ip(first), port: 40_003, scopeId: 0 },
  ]
}
