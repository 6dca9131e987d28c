import { expect, it } from 'vitest'
import { takesNameServers } from '../../../src/config/name-servers.js'
import { parseConfig } from '../../../src/config/parse.js'
import { prefixOf } from '../../support/control.js'

const KEY = '8GboYh0YF3q/hJhoPFoL3HM/ObgOuC8YI6UXWsgWL2M='
const servers = ['127.0.0.53/32', '192.0.2.53/32', '2001:db8::53/128'].map(prefixOf)

it.each([
  ['10.0.0.0/8', '', false],
  ['192.0.2.0/24', '', true],
  ['192.0.2.0/24', 'Table = off', false],
  ['2001:db8::/32', '', true],
  ['0.0.0.0/0', '', true],
  ['::/0', '', true],
  ['0.0.0.0/1, 128.0.0.0/1', '', true],
  ['10.0.0.0/8', 'DNS = 10.0.0.53', true],
  ['10.0.0.0/8', 'DNS = vpn.example', false],
])('a tunnel with %s and "%s" takes questions to name servers: %s', (allowedIps, line, expected) => {
  const text = `[Interface]\nPrivateKey = ${KEY}\n${line}\n[Peer]\nPublicKey = ${KEY}\nAllowedIPs = ${allowedIps}\n`
  const config = parseConfig(text, 'wg0.conf')
  expect(takesNameServers(config, { servers, hasDns: true })).toBe(expected)
  if (line.startsWith('DNS')) expect(takesNameServers(config, { servers, hasDns: false })).toBe(false)
})
