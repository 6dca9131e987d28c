import { describe, expect, it } from 'vitest'
import { formatConfig } from '../../../src/config/format.js'
import { parseConfig, parseConfigWithWarnings } from '../../../src/config/parse.js'

const FILE = `[Interface]
PrivateKeyFile = home.key
[Overlay]
Hub = hub.example.org:443
HubKey = OwdegSTyhlw7Dbpg8VJUBKXF9CxoQp2gAOdwgqtPVBI=
Network = home
Name = alice
IdentityFile = home.identity
`

describe('KillSwitch', () => {
  const everywhere = (text: string): string =>
    `[Interface]\n[Peer]\nPublicKey = OwdegSTyhlw7Dbpg8VJUBKXF9CxoQp2gAOdwgqtPVBI=\nAllowedIPs = ${text}\n`
  const warningsOf = (text: string): string[] =>
    parseConfigWithWarnings(text, 'test').warnings.map(({ message }) => message)

  it('may stand alone, without a network', () => {
    const config = parseConfig(`${everywhere('0.0.0.0/0')}[Overlay]\nKillSwitch = yes\n`, 'test')
    expect([config.killSwitch, config.overlay]).toEqual([true, undefined])
    expect(parseConfig(formatConfig(config), 'test')).toEqual(config)
    const whole = parseConfig(`${FILE}KillSwitch = Yes\n`, 'test')
    expect([whole.killSwitch, whole.overlay?.name]).toEqual([true, 'alice'])
    expect(parseConfig(`${FILE}KillSwitch = no\n`, 'test').killSwitch).toBeUndefined()
  })

  it('warns where it does less than it seems to', () => {
    const on = '[Overlay]\nKillSwitch = yes\n'
    expect(warningsOf(everywhere('0.0.0.0/0') + on)).toEqual([])
    expect(warningsOf(everywhere('10.0.0.0/8') + on)[0]).toContain('does nothing without a default route')
    const named = `${everywhere('::/0')}Endpoint = vpn.example.org:51820\n${on}`
    expect(warningsOf(named)[0]).toContain('keeps vpn.example.org from being looked up')
  })

  it('is yes or no', () => {
    expect(() => parseConfig(`${FILE}KillSwitch = maybe\n`, 'test')).toThrow('yes or no')
  })
})

describe('Names', () => {
  it('are on unless they are switched off, and stay so in the text', () => {
    const off = parseConfig(`${FILE}Names = off\n`, 'test')
    expect(off.overlay?.hasNames).toBe(false)
    expect(parseConfig(formatConfig(off), 'test')).toEqual(off)
    expect(parseConfig(`${FILE}Names = on\n`, 'test')).toEqual(parseConfig(FILE, 'test'))
    expect(() => parseConfig(`${FILE}Names = no\n`, 'test')).toThrow('on or off')
  })
})

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
