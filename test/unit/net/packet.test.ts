import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  destinationOffsetOf,
  ecnAt,
  ipLengthAt,
  ipVersionAt,
  propagateCongestion,
  sourceOffsetOf,
} from '../../../src/net/packet.js'
import { hex } from '../../support/hex.js'
import { innerPacket, ip, ipv4Checksum } from '../../support/inner-packets.js'

const V4 = hex('4500 0054 1c46 4000 4001 e3dc 0a00 0001 ac10 0005')
const V6 = hex(`60a0 0000 0008 3a40 fd00 0000 0000 0000 0000 0000 0000 0001
                fd00 0000 0000 0000 0000 0000 0000 0002 8000 0000 0000 0000`)

describe('inner packets', () => {
  test('the version is told from a whole header only', () => {
    expect(ipVersionAt(V4, 0, 20)).toBe(4)
    expect(ipVersionAt(V4, 0, 19)).toBe(0)
    expect(ipVersionAt(V6, 0, 40)).toBe(6)
    expect(ipVersionAt(V6, 0, 39)).toBe(0)
    for (const version of [0, 1, 2, 3, 5, 7, 15]) {
      expect(ipVersionAt(new Uint8Array(40).fill(version << 4), 0, 40)).toBe(0)
    }
  })

  test('the length is the one the header claims, if so many bytes are there', () => {
    expect(ipLengthAt(V4, 0, 0x54, 4)).toBe(0x54)
    expect(ipLengthAt(V4, 0, 0x60, 4)).toBe(0x54)
    expect(ipLengthAt(V4, 0, 0x53, 4)).toBe(0)
    expect(ipLengthAt(V6, 0, 48, 6)).toBe(48)
    expect(ipLengthAt(V6, 0, 47, 6)).toBe(0)
  })

  test('addresses are where the headers have them', () => {
    expect(V4.subarray(sourceOffsetOf(4), destinationOffsetOf(4))).toEqual(ip('10.0.0.1').bytes)
    expect(V4.subarray(destinationOffsetOf(4), 20)).toEqual(ip('172.16.0.5').bytes)
    expect(V6.subarray(sourceOffsetOf(6), destinationOffsetOf(6))).toEqual(ip('fd00::1').bytes)
    expect(V6.subarray(destinationOffsetOf(6), 40)).toEqual(ip('fd00::2').bytes)
  })

  test('the ECN bits of the traffic class lie across two bytes', () => {
    expect(ecnAt(hex('6fef ffff'), 0, 6)).toBe(2)
    expect(ecnAt(hex('6010 0000'), 0, 6)).toBe(1)
    expect(ecnAt(hex('45fe'), 0, 4)).toBe(2)
  })

  test('marking congestion keeps the v4 header checksum right, for every header', () => {
    const header = fc.uint8Array({ minLength: 20, maxLength: 20 })
    fc.assert(
      fc.property(header, (random) => {
        const packet = Uint8Array.of(0x45, ...random.subarray(1))
        const view = new DataView(packet.buffer)
        view.setUint16(10, ipv4Checksum(packet))
        const before = packet.slice()
        propagateCongestion(packet, 0, 4, 3)
        const canMark = (random[1] as number) % 4 !== 0
        expect(packet[1]).toBe(canMark ? (before[1] as number) | 3 : before[1])
        // 0 and 0xffff are the same number in the checksum's arithmetic.
        expect(view.getUint16(10) % 0xffff).toBe(ipv4Checksum(packet) % 0xffff)
        packet[1] = before[1] as number
        packet.set(before.subarray(10, 12), 10)
        expect(packet).toEqual(before)
      }),
      { seed: 1624 },
    )
  })

  test('only congestion changes a packet', () => {
    for (const tos of [0, 1, 2, 0xfc]) {
      const packet = innerPacket('fd00::1', 'fd00::2', { tos: 0xba })
      propagateCongestion(packet, 0, 6, tos)
      expect(packet).toEqual(innerPacket('fd00::1', 'fd00::2', { tos: 0xba }))
    }
  })
})
