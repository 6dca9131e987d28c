/**
 * Handshakes in both roles, over IPv4 and IPv6, with and without a preshared key.
 *
 *   left ── eth0 ── 192.0.2.0/24, 2001:db8::/64 ── eth0 ── right
 */

import { expect, test } from 'vitest'
import { INITIATION_BYTES } from '../../src/wireguard/constants.js'
import { type Pair, pairName, pairs, TUNNEL_PROGRAMS } from '../support/implementations.js'
import { until, withLab } from '../support/lab.js'
import { ping } from '../support/ping.js'
import { requirement } from '../support/requirement.js'
import { generatePresharedKey, openTunnel, type Tunnel, type TunnelOptions } from '../support/tunnel.js'

const ROLES = ['left', 'right'] as const
const FAMILIES = [4, 6] as const

/** Only `initiator` knows where the other one is, so it has to begin. */
function optionsFor(initiator: 'left' | 'right', outer: 4 | 6, presharedKey?: string): TunnelOptions {
  const key = presharedKey === undefined ? {} : { presharedKey }
  return {
    outer,
    left: { knowsEndpoint: initiator === 'left', ...key },
    right: { knowsEndpoint: initiator === 'right', ...key },
  }
}

async function expectOpen(tunnel: Tunnel, initiator: 'left' | 'right'): Promise<void> {
  const from = tunnel[initiator]
  const to = tunnel[initiator === 'left' ? 'right' : 'left']
  const startS = Math.floor(Date.now() / 1000)
  expect(await ping(from.host, to.addresses.inner4, 1)).toBe(1)
  expect(await ping(from.host, to.addresses.inner6, 3)).toBe(3)
  expect(await ping(to.host, from.addresses.inner4, 3)).toBe(3)
  expect(await ping(to.host, from.addresses.inner6, 3)).toBe(3)
  for (const side of [from, to]) {
    const handshakeS = await side.latestHandshakeS()
    expect(handshakeS).toBeGreaterThanOrEqual(startS)
    expect(handshakeS).toBeLessThanOrEqual(Date.now() / 1000)
  }
}

function describePair(pair: Pair): void {
  for (const initiator of ROLES) {
    for (const outer of FAMILIES) {
      test(`${initiator} begins over IPv${outer} and both inner families pass, the first packet too`, () =>
        withLab(async (lab) => {
          await expectOpen(await openTunnel(lab, pair, optionsFor(initiator, outer)), initiator)
        }))
    }

    test(`${initiator} begins with a preshared key`, () =>
      withLab(async (lab) => {
        const options = optionsFor(initiator, 4, generatePresharedKey())
        await expectOpen(await openTunnel(lab, pair, options), initiator)
      }))
  }

  test('different preshared keys give no handshake and no packet', () =>
    withLab(async (lab) => {
      const { left, right } = await openTunnel(lab, pair, {
        left: { presharedKey: generatePresharedKey() },
        right: { presharedKey: generatePresharedKey() },
      })
      expect(await ping(left.host, right.addresses.inner4, 1, { waitS: 2 })).toBe(0)
      await until(
        'right has heard the initiation',
        async () => Number((await right.show('transfer'))[0]?.[1]) >= INITIATION_BYTES,
      )
      expect(await left.latestHandshakeS()).toBe(0)
    }))

  test('both beginning at the same moment end with one working tunnel', () =>
    withLab(async (lab) => {
      const { left, right } = await openTunnel(lab, pair)
      await Promise.all([
        ping(left.host, right.addresses.inner4, 2),
        ping(right.host, left.addresses.inner4, 2),
      ])
      await until('an answer each way', async () => {
        const results = await Promise.all([
          ping(left.host, right.addresses.inner4, 5, { waitS: 5 }),
          ping(right.host, left.addresses.inner6, 5, { waitS: 5 }),
        ])
        return results.every((answers) => answers === 5)
      })
    }))
}

for (const pair of pairs) {
  requirement(`handshake: ${pairName(pair)}`, TUNNEL_PROGRAMS, () => describePair(pair))
}
