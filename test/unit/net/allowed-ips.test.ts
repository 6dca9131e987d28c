import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AllowedIps } from '../../../src/net/allowed-ips.js'
import { type IpAddress, ipFromBytes } from '../../../src/net/ip.js'
import { formatPrefix, maskPrefix, type Prefix, prefixContains } from '../../../src/net/prefix.js'
import { prefix } from '../../support/data-plane-harness.js'
import { ip } from '../../support/inner-packets.js'

function find(table: AllowedIps, address: IpAddress): number {
  const packet = new Uint8Array(60).fill(0xff)
  packet.set(address.bytes, 13)
  return table.lookup(packet, 13, address.family)
}

/** The rule itself: of all prefixes that hold the address, the longest. */
class LinearTable {
  readonly #entries = new Map<string, { prefix: Prefix; value: number }>()

  insert(added: Prefix, value: number): void {
    this.#entries.set(formatPrefix(maskPrefix(added)), { prefix: added, value })
  }

  remove(removed: Prefix): boolean {
    return this.#entries.delete(formatPrefix(maskPrefix(removed)))
  }

  lookup(address: IpAddress): number {
    let best = { bits: -1, value: -1 }
    for (const { prefix: held, value } of this.#entries.values()) {
      if (held.bits > best.bits && prefixContains(held, address)) best = { bits: held.bits, value }
    }
    return best.value
  }
}

describe('allowed IPs', () => {
  test('an empty table holds nobody', () => {
    expect(find(new AllowedIps(), ip('10.0.0.1'))).toBe(-1)
    expect(find(new AllowedIps(), ip('::1'))).toBe(-1)
  })

  test('the longest prefix wins, whatever the order of insertion', () => {
    const entries = [
      ['0.0.0.0/0', 0],
      ['10.0.0.0/8', 1],
      ['10.128.0.0/9', 2],
      ['10.128.0.1/32', 3],
      ['11.0.0.0/8', 4],
    ] as const
    for (const order of [entries, [...entries].reverse()]) {
      const table = new AllowedIps()
      for (const [text, value] of order) table.insert(prefix(text), value)
      const found = ['1.1.1.1', '10.1.0.0', '10.128.0.0', '10.128.0.1', '11.255.255.255']
      expect(found.map((text) => find(table, ip(text)))).toEqual([0, 1, 2, 3, 4])
    }
  })

  test('families never meet', () => {
    const table = new AllowedIps()
    table.insert(prefix('0.0.0.0/0'), 1)
    expect(find(table, ip('::'))).toBe(-1)
    table.insert(prefix('::/0'), 2)
    expect(find(table, ip('0.0.0.0'))).toBe(1)
    expect(find(table, ip('ffff::'))).toBe(2)
  })

  test('an equal prefix is replaced, its host bits do not matter', () => {
    const table = new AllowedIps()
    table.insert(prefix('10.0.0.7/24'), 1)
    table.insert(prefix('10.0.0.9/24'), 2)
    expect(find(table, ip('10.0.0.1'))).toBe(2)
    expect(table.remove(prefix('10.0.0.200/24'))).toBe(true)
    expect(table.remove(prefix('10.0.0.0/24'))).toBe(false)
    expect(find(table, ip('10.0.0.1'))).toBe(-1)
  })

  test('a fork without a value is no entry', () => {
    const table = new AllowedIps()
    table.insert(prefix('10.0.0.0/32'), 1)
    table.insert(prefix('10.0.0.3/32'), 2)
    expect(table.remove(prefix('10.0.0.0/30'))).toBe(false)
    expect(find(table, ip('10.0.0.1'))).toBe(-1)
  })

  test('100,000 prefixes are found', () => {
    const table = new AllowedIps()
    const host = (i: number): IpAddress => ipFromBytes(Uint8Array.of(10, i >> 16, i >> 8, i))
    for (let i = 0; i < 100_000; i++) table.insert({ address: host(i), bits: 32 }, i)
    for (let i = 0; i < 100_000; i += 997) expect(find(table, host(i))).toBe(i)
    expect(find(table, host(100_000))).toBe(-1)
  })

  for (const length of [4, 16] as const) {
    test(`any insertions and removals give what a linear scan gives (${length} bytes)`, () => {
      // Few distinct bytes, so that prefixes nest, fork and collide.
      const byte = fc.constantFrom(0, 1, 2, 3, 0x7f, 0x80, 0xff)
      const bytes = fc.oneof(
        fc.array(byte, { minLength: length, maxLength: length }),
        fc
          .array(byte, { minLength: 1, maxLength: 1 })
          .map((last) => [...new Array(length - 1).fill(0), ...last]),
      )
      const address = bytes.map((list) => ipFromBytes(Uint8Array.from(list)))
      const anyPrefix = fc.record({ address, bits: fc.integer({ min: 0, max: 8 * length }) })
      const action = fc.record({ prefix: anyPrefix, value: fc.nat(1000), isRemoval: fc.boolean() })
      fc.assert(
        fc.property(fc.array(action, { maxLength: 60 }), fc.array(address), (actions, addresses) => {
          const table = new AllowedIps()
          const linear = new LinearTable()
          for (const [i, { prefix: target, value, isRemoval }] of actions.entries()) {
            // Every third removal takes away what was put in, not something at random.
            const victim = i % 3 === 0 ? (actions[i >> 1]?.prefix ?? target) : target
            if (isRemoval) expect(table.remove(victim)).toBe(linear.remove(victim))
            else {
              table.insert(target, value)
              linear.insert(target, value)
            }
          }
          for (const one of [...addresses, ...actions.map(({ prefix: { address: used } }) => used)]) {
            expect(find(table, one)).toBe(linear.lookup(one))
          }
        }),
        { numRuns: 400, seed: 4_711 },
      )
    })
  }
})
