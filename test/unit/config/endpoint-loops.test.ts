import { describe, expect, it } from 'vitest'
import { findEndpointLoops, type OtherRoute } from '../../../src/config/endpoint-loops.js'
import { parseConfig } from '../../../src/config/parse.js'
import { formatIp, type IpAddress } from '../../../src/net/ip.js'
import { sampleKey } from './samples.js'

/** On this machine: a LAN, and a router to everywhere else. */
function routeTo(address: IpAddress): OtherRoute | undefined {
  if (address.family === 6) return undefined
  return formatIp(address).startsWith('10.99.0.')
    ? { bits: 24, way: 'dev eth0' }
    : { bits: 0, way: 'via 10.99.0.254 dev eth0' }
}

function loopsOf(endpoint: string, allowedIps: string, more = ''): string[] {
  const key = sampleKey(1)
  const text = `[Interface]\nAddress = 10.5.0.1/24\n${more}\n[Peer]\nName = office\nPublicKey = ${key}\nEndpoint = ${endpoint}\nAllowedIPs = ${allowedIps}\n`
  return findEndpointLoops(parseConfig(text, 'a'), routeTo)
}

describe('an endpoint that the routes of the tunnel lead into it', () => {
  it('is told, with the AllowedIPs that do it and what helps', () => {
    expect(loopsOf('10.99.0.2:51820', '10.0.0.0/8, 10.99.0.2/32')).toEqual([
      'the endpoint of office is never reached: 10.99.0.2/32 leads 10.99.0.2 into the tunnel itself; take 10.99.0.2/32 out of AllowedIPs',
    ])
    const [text] = loopsOf('192.0.2.1:51820', '0.0.0.0/1, 128.0.0.0/1')
    expect(text).toContain('128.0.0.0/1 leads 192.0.2.1 into the tunnel itself')
    expect(text).toContain('PreUp = ip route add 192.0.2.1/32 via 10.99.0.254 dev eth0')
    expect(text).toContain('PostDown = ip route del 192.0.2.1/32 via 10.99.0.254 dev eth0')
    expect(loopsOf('[2001:db8::1]:51820', '2001:db8::/32')).toHaveLength(1)
    expect(loopsOf('10.5.0.9:51820', '10.7.0.0/16')).toHaveLength(1)
  })

  it.each([
    ['a LAN is nearer than the tunnel', '10.99.0.2:51820', '10.0.0.0/8', ''],
    ['it is elsewhere', '192.0.2.1:51820', '10.0.0.0/8', ''],
    ['a default route leaves our own datagrams alone', '192.0.2.1:51820', '0.0.0.0/0', ''],
    ['no routes are set', '192.0.2.1:51820', '0.0.0.0/1, 128.0.0.0/1', 'Table = off'],
    [
      'a hook gives it a way',
      '192.0.2.1:51820',
      '128.0.0.0/1',
      'PostUp = ip route add 192.0.2.1/32 dev eth0',
    ],
    ['it is a name, which nobody has resolved', 'vpn.example.org:51820', '0.0.0.0/1, 128.0.0.0/1', ''],
  ])('is none where %s', (_, endpoint, allowedIps, more) => {
    expect(loopsOf(endpoint, allowedIps, more)).toEqual([])
  })
})
