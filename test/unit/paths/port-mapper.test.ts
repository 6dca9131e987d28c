import { beforeEach, describe, expect, it } from 'vitest'
import { concatBytes } from '../../../src/base/bytes.js'
import { type MapperSend, PortMapper } from '../../../src/paths/port-mapper.js'
import { countingBytes, hex } from '../../support/hex.js'
import { ip } from '../../support/inner-packets.js'
import { endpoint } from '../../support/simulated-nat.js'

const ROUTER = endpoint('192.168.1.1', 5351)
const NONCE = countingBytes(12, 0x10)
const PORT = 0x9c41

/** RFC 6887 figure 9, as a router answers. `port`: external. */
function pcpAnswer(
  port: number,
  lifetimeS: number,
  change: { at: number; to: number } = { at: 0, to: 2 },
): Uint8Array {
  const head = hex('02 81 00 00 00000000 00000007 000000000000000000000000')
  const body = concatBytes(NONCE, hex('11 000000 9c41 0000'), hex('00000000000000000000ffff c6336405'))
  const bytes = concatBytes(head, body)
  const view = new DataView(bytes.buffer)
  view.setUint32(4, lifetimeS)
  view.setUint16(42, port)
  bytes[change.at] = change.to
  return bytes
}

let mapper: PortMapper
let sends: MapperSend[]

beforeEach(() => {
  mapper = new PortMapper({
    gateway: ROUTER.address,
    ownAddress: ip('192.168.1.2'),
    protocol: 'udp',
    port: PORT,
    suggestedPort: PORT,
    nonce: NONCE,
  })
  sends = []
})

describe('a port mapper', () => {
  it('asks by both protocols, as the RFCs write it', () => {
    mapper.start(0, sends)
    expect(sends.map(({ to }) => to)).toEqual([ROUTER, ROUTER, ROUTER])
    expect(sends[0]?.bytes).toEqual(
      concatBytes(
        hex('02 01 0000 00001c20 00000000000000000000ffff c0a80102'),
        NONCE,
        hex('11 000000 9c41 9c41 00000000000000000000ffff 00000000'),
      ),
    )
    expect(sends[1]?.bytes).toEqual(hex('00 01 0000 9c41 9c41 00001c20'))
    expect(sends[2]?.bytes).toEqual(hex('00 00'))
  })

  it('asks at once when the router may have forgotten, and not again and again', () => {
    mapper.start(0, sends)
    mapper.handleDatagram(ROUTER, pcpAnswer(PORT, 7200), 100)
    sends.length = 0
    mapper.renew(4999, sends)
    expect(sends).toEqual([])
    mapper.renew(5000, sends)
    expect(sends).toHaveLength(3)
    expect(mapper.externalPort).toBe(PORT)
    for (let nowMs = 5001; nowMs < 10_000; nowMs += 100) mapper.renew(nowMs, sends)
    expect(sends).toHaveLength(3)
    mapper.handleDatagram(ROUTER, pcpAnswer(50_000, 7200), 5100)
    expect(mapper.externalPort).toBe(50_000)
  })

  it('asks again at growing intervals, then waits for ten minutes', () => {
    mapper.start(0, sends)
    const times: number[] = []
    for (let nowMs = 0; nowMs < 700_000; ) {
      nowMs = mapper.nextDeadlineMs()
      const before = sends.length
      mapper.handleTimeout(nowMs, sends)
      if (sends.length > before) times.push(nowMs)
    }
    expect(times.slice(0, 10)).toEqual([250, 750, 1750, 3750, 7750, 15_750, 31_750, 63_750, 600_000, 600_250])
  })

  it('takes what is mapped, renews it at half of its life, and drops it at the end', () => {
    mapper.start(0, sends)
    mapper.handleDatagram(ROUTER, pcpAnswer(5000, 100), 10)
    expect(mapper.externalPort).toBe(5000)
    expect(mapper.nextDeadlineMs()).toBe(50_010)
    sends.length = 0
    mapper.handleTimeout(50_010, sends)
    expect(sends).toHaveLength(3)
    const lostAtMs: number[] = []
    for (let nowMs = 50_010; nowMs < 100_010; ) {
      nowMs = mapper.nextDeadlineMs()
      mapper.handleTimeout(nowMs, sends)
      if (mapper.externalPort === undefined) lostAtMs.push(nowMs)
    }
    expect(lostAtMs).toEqual([100_010])
  })

  it('understands NAT-PMP alone', () => {
    mapper.start(0, sends)
    for (const answer of [
      '00 81 0003 00000007 9c41 1389 00001c20', // refused
      '00 81 0000 00000007 9c42 1389 00001c20', // of another port
      '00 82 0000 00000007 9c41 1389 00001c20', // of TCP
      '00 81 0000 00000007 9c41 0000 00001c20', // of no port
    ]) {
      mapper.handleDatagram(ROUTER, hex(answer), 5)
      expect(mapper.externalPort).toBeUndefined()
    }
    mapper.handleDatagram(ROUTER, hex('00 81 0000 00000007 9c41 1388 00001c20'), 5)
    expect(mapper.externalPort).toBe(5000)
  })

  it('believes the router alone, and only answers to its own question', () => {
    mapper.start(0, sends)
    mapper.handleDatagram(endpoint('192.168.1.9', 5351), pcpAnswer(5000, 100), 5)
    mapper.handleDatagram(endpoint('192.168.1.1', 1900), pcpAnswer(5000, 100), 5)
    for (const change of [
      { at: 0, to: 1 },
      { at: 1, to: 1 },
      { at: 3, to: 8 },
      { at: 24, to: 0 },
      { at: 36, to: 6 },
      { at: 41, to: 0 },
    ]) {
      mapper.handleDatagram(ROUTER, pcpAnswer(5000, 100, change), 5)
    }
    mapper.handleDatagram(ROUTER, pcpAnswer(5000, 100).subarray(1), 5)
    mapper.handleDatagram(ROUTER, new Uint8Array(0), 5)
    expect(mapper.externalPort).toBeUndefined()
  })

  it('maps TCP too, with another external port if the router likes', () => {
    const options = { gateway: ROUTER.address, ownAddress: ip('192.168.1.2'), nonce: NONCE }
    const tcp = new PortMapper({ ...options, protocol: 'tcp', port: PORT, suggestedPort: 443 })
    tcp.start(0, sends)
    expect(sends[0]?.bytes.subarray(36, 44)).toEqual(hex('06 000000 9c41 01bb'))
    expect(sends[1]?.bytes).toEqual(hex('00 02 0000 9c41 01bb 00001c20'))
    tcp.handleDatagram(ROUTER, pcpAnswer(5000, 100), 5) // of UDP
    tcp.handleDatagram(ROUTER, hex('00 81 0000 00000007 9c41 1388 00001c20'), 5)
    expect(tcp.externalPort).toBeUndefined()
    tcp.handleDatagram(ROUTER, hex('00 82 0000 00000007 9c41 1389 00001c20'), 5)
    expect(tcp.externalPort).toBe(5001)
    sends.length = 0
    tcp.handleTimeout(3_600_005, sends)
    expect(sends[1]?.bytes).toEqual(hex('00 02 0000 9c41 1389 00001c20'))
    sends.length = 0
    tcp.stop(sends)
    expect(sends[1]?.bytes).toEqual(hex('00 02 0000 9c41 0000 00000000'))
  })

  it('reads of the router where it is itself, from either protocol', () => {
    mapper.start(0, sends)
    mapper.handleDatagram(ROUTER, hex('00 80 0003 00000007 64400002'), 5) // refused
    mapper.handleDatagram(endpoint('192.168.1.9', 5351), hex('00 80 0000 00000007 64400002'), 5)
    expect(mapper.externalAddress).toBeUndefined()
    mapper.handleDatagram(ROUTER, hex('00 80 0000 00000007 64400002'), 5)
    expect(mapper.externalAddress).toEqual(ip('100.64.0.2'))
    mapper.handleDatagram(ROUTER, pcpAnswer(5000, 100), 10)
    expect(mapper.externalAddress).toEqual(ip('198.51.100.5'))
    // Of IPv6: it says nothing of IPv4.
    mapper.handleDatagram(ROUTER, pcpAnswer(5000, 100, { at: 44, to: 0x20 }), 10)
    expect(mapper.externalAddress).toEqual(ip('198.51.100.5'))
  })

  it('gives back what it has', () => {
    mapper.start(0, sends)
    mapper.handleDatagram(ROUTER, pcpAnswer(5000, 100), 5)
    sends.length = 0
    mapper.stop(sends)
    expect(sends[1]?.bytes).toEqual(hex('00 01 0000 9c41 0000 00000000'))
    expect(mapper.externalPort).toBeUndefined()
    sends.length = 0
    mapper.stop(sends)
    expect(sends).toEqual([])
  })
})
