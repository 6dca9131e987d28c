import { describe, expect, it } from 'vitest'
import { formatConfig } from '../../../src/config/format.js'
import { parseConfig } from '../../../src/config/parse.js'

const FILE = `[Interface]
PrivateKeyFile = home.key
[Overlay]
Hub = hub.example.org:443
HubKey = OwdegSTyhlw7Dbpg8VJUBKXF9CxoQp2gAOdwgqtPVBI=
Network = home
Name = alice
IdentityFile = home.identity
`

describe('KeyLifetime', () => {
  it.each([
    ['30d', 30 * 86_400],
    ['12h', 43_200],
    ['90m', 5400],
    ['10s', 10],
    ['365 d', 365 * 86_400],
  ])('is a time: %s', (text, seconds) => {
    const config = parseConfig(`${FILE}KeyLifetime = ${text}\n`, 'test')
    expect(config.overlay?.keyLifetimeS).toBe(seconds)
    expect(parseConfig(formatConfig(config), 'test')).toEqual(config)
  })

  it.each(['30', '9s', '366d', '1.5d', '1w', '-1d', ''])('is none: "%s"', (text) => {
    expect(() => parseConfig(`${FILE}KeyLifetime = ${text}\n`, 'test')).toThrow('KeyLifetime')
  })

  it('may be left out', () => {
    expect(parseConfig(FILE, 'test').overlay?.keyLifetimeS).toBeUndefined()
  })
})
