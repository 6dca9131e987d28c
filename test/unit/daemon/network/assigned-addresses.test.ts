import { describe, expect, it } from 'vitest'
import { addressOf } from '../../../../src/control/addresses.js'
import type { Welcome } from '../../../../src/control/messages.js'
import { faultOf, requireConfirmed } from '../../../../src/daemon/network/assigned-addresses.js'
import { formatIp } from '../../../../src/net/ip.js'
import { type Prefix, tryParsePrefix } from '../../../../src/net/prefix.js'
import { nobleCrypto } from '../../../../src/wireguard/crypto-noble.js'
import { countingBytes } from '../../../support/hex.js'

const prefix = (text: string): Prefix => tryParsePrefix(text) ?? expect.fail(text)
const IDENTITY = countingBytes(32)

function welcome(prefix4: string, v4: string, prefix6 = 'fd01:203:405::/48'): Welcome {
  const v6 = formatIp(addressOf(nobleCrypto, prefix(prefix6), IDENTITY))
  const place = { network: 'home', prefix4, prefix6, name: 'alice', v4, v6 }
  return { type: 'welcome', ...place, relays: [], stun: [], ticket: '' }
}

describe('what a hub assigns', () => {
  it('is taken inside 100.64.0.0/10 and fd00::/8', () => {
    expect(faultOf(welcome('100.80.0.0/16', '100.80.0.9'), IDENTITY, undefined)).toBeUndefined()
  })

  it('is taken where a person confirmed it', () => {
    const range = prefix('10.80.0.0/16')
    expect(faultOf(welcome('10.80.0.0/16', '10.80.0.9'), IDENTITY, range)).toBeUndefined()
    expect(() => requireConfirmed(range, range)).not.toThrow()
  })

  it.each([
    ['8.0.0.0/8', '8.8.8.8'],
    ['127.0.0.0/8', '127.0.0.1'],
    ['192.168.0.0/16', '192.168.0.1'],
    ['100.80.0.0/16', '100.81.0.9'],
    ['100.80.0.0/16', '8.8.8.8'],
    ['10.80.0.0/16', '10.80.0.9'],
  ])('is refused: %s with %s', (range, v4) => {
    expect(faultOf(welcome(range, v4), IDENTITY, undefined)).toBeDefined()
  })

  it('is refused if its IPv6 addresses are those of others, or not of this identity', () => {
    expect(
      faultOf(welcome('100.80.0.0/16', '100.80.0.9', '2001:db8::/48'), IDENTITY, undefined),
    ).toBeDefined()
    expect(faultOf(welcome('100.80.0.0/16', '100.80.0.9'), countingBytes(32, 7), undefined)).toBeDefined()
  })

  it('is shown to the person who has to confirm it, before anybody is asked', () => {
    expect(() => requireConfirmed(prefix('10.80.0.0/16'), undefined)).toThrow('10.80.0.0/16')
    expect(() => requireConfirmed(prefix('10.80.0.0/16'), prefix('10.81.0.0/16'))).toThrow('not 10.81.0.0/16')
    expect(() => requireConfirmed(undefined, undefined)).not.toThrow()
  })
})
