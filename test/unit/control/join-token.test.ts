import { describe, expect, it } from 'vitest'
import { AppError } from '../../../src/base/errors.js'
import { formatJoinToken, parseJoinToken } from '../../../src/control/join-token.js'
import { tryParseRange } from '../../../src/net/network-range.js'
import { tryParsePrefix } from '../../../src/net/prefix.js'
import { nobleCrypto } from '../../../src/wireguard/crypto-noble.js'
import { keyFromBytes, type PublicKey } from '../../../src/wireguard/keys.js'
import { countingBytes } from '../../support/hex.js'

const TOKEN = {
  hub: { host: 'hub.example.org', port: 443 },
  hubKey: keyFromBytes<PublicKey>(countingBytes(32)),
  network: 'home',
  secret: 'AAECAwQFBgcICQoLDA0ODw==',
}
const TEXT = formatJoinToken(nobleCrypto, TOKEN)

describe('a join token', () => {
  it('is one word that holds everything', () => {
    expect(TEXT).toMatch(/^ovl1_[A-Za-z0-9_-]+$/)
    expect(parseJoinToken(nobleCrypto, ` ${TEXT}\n`)).toEqual(TOKEN)
    const v6 = { ...TOKEN, hub: { host: '2001:db8::1', port: 7443 } }
    expect(parseJoinToken(nobleCrypto, formatJoinToken(nobleCrypto, v6))).toEqual(v6)
  })

  it('may hold a range to confirm, but none that belongs to others', () => {
    const private10 = { ...TOKEN, range: tryParseRange('10.80.0.0/16') }
    expect(parseJoinToken(nobleCrypto, formatJoinToken(nobleCrypto, private10))).toEqual(private10)
    const foreign = formatJoinToken(nobleCrypto, { ...TOKEN, range: tryParsePrefix('8.0.0.0/8') })
    expect(() => parseJoinToken(nobleCrypto, foreign)).toThrow(AppError)
  })

  it('is refused if any of it is missing or another, and is never shown', () => {
    const wrong = [
      '',
      'ovl1_',
      TEXT.slice(0, -1),
      TEXT.slice(1),
      `${TEXT}A`,
      TEXT.replace('ovl1', 'ovl2'),
      formatJoinToken(nobleCrypto, { ...TOKEN, network: 'Not A Name' }),
      formatJoinToken(nobleCrypto, { ...TOKEN, hub: { host: 'hub', port: 0 } }),
      formatJoinToken(nobleCrypto, { ...TOKEN, secret: '?' }),
      'x'.repeat(10_000),
    ]
    for (const text of wrong) {
      try {
        parseJoinToken(nobleCrypto, text)
        expect.unreachable(text)
      } catch (error) {
        expect(error).toBeInstanceOf(AppError)
        if (text.length > 8) expect(String(error)).not.toContain(text)
      }
    }
  })
})
