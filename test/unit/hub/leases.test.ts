import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Leases } from '../../../src/hub/leases.js'
import { formatIp, ipFromBytes, tryParseIp } from '../../../src/net/ip.js'
import { prefixContains } from '../../../src/net/prefix.js'
import { prefixOf } from '../../support/control.js'

const POOL = prefixOf('100.64.0.0/24')

function identityAt(number: number): Uint8Array {
  const identity = new Uint8Array(32)
  new DataView(identity.buffer).setUint32(0, number)
  return identity
}

describe('leases', () => {
  it('begin where the identity points, and go round', () => {
    const leases = new Leases(POOL)
    expect(leases.tryFind(identityAt(253), [])).toBe('100.64.0.254')
    leases.add('100.64.0.254')
    expect(leases.tryFind(identityAt(253), [])).toBe('100.64.0.1')
    leases.delete('100.64.0.254')
    expect(leases.tryFind(identityAt(253), [])).toBe('100.64.0.254')
  })

  it('are what looking at every address finds', () => {
    const prefix = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 25, max: 32 }))
    const wish = fc.record({
      identity: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      taken: fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 255 }),
      foreign: fc.array(prefix, { maxLength: 8 }),
    })
    fc.assert(
      fc.property(wish, ({ identity, taken, foreign }) => {
        const leases = new Leases(POOL)
        for (const host of taken) leases.add(`100.64.0.${host}`)
        const prefixes = foreign.map(([host, bits]) => ({
          address: ipFromBytes(Uint8Array.of(100, 64, 0, host)),
          bits,
        }))
        const hosts = Array.from({ length: 254 }, (_, step) => 1 + (((identity % 254) + step) % 254))
        const free = hosts
          .map((host) => ipFromBytes(Uint8Array.of(100, 64, 0, host)))
          .find((ip) => !leases.has(formatIp(ip)) && !prefixes.some((one) => prefixContains(one, ip)))
        expect(leases.tryFind(identityAt(identity), prefixes)).toBe(free && formatIp(free))
      }),
    )
  })

  it('cost no more in a pool of millions of which a node sees everything by itself', () => {
    const leases = new Leases(prefixOf('10.0.0.0/8'))
    const foreign = Array.from({ length: 64 }, (_, i) => prefixOf(`10.${4 * i}.0.0/14`))
    let found: string | undefined = ''
    for (let i = 0; i < 1000; i++) found = leases.tryFind(identityAt(i), foreign)
    expect(found).toBeUndefined()
    expect(tryParseIp(leases.tryFind(identityAt(7), foreign.slice(1)) ?? '')?.bytes[0]).toBe(10)
  })
})
