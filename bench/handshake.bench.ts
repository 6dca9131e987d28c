/**
 * What a responder can do in a second, on the one thread that runs the protocol: check mac1, consume
 * an initiation, create the response and stamp it. Run it with `npx vitest bench --run --project unit`.
 */

import { bench, describe } from 'vitest'
import { ipFromBytes } from '../src/net/ip.js'
import { CookieChecker, CookieJar } from '../src/wireguard/cookie.js'
import { nobleCrypto } from '../src/wireguard/crypto-noble.js'
import { nodeCrypto } from '../src/wireguard/crypto-node.js'
import { expectDefined, HandshakePair } from '../test/support/handshake-pair.js'
import { seededRandom } from '../test/support/seeded-random.js'

const OPTIONS = { time: 1000, warmupTime: 300 }

describe.each([nodeCrypto, nobleCrypto])('a responder with $name', (crypto) => {
  const random = seededRandom(1)
  const pair = new HandshakePair(crypto, crypto, {
    random,
    initiator: random(32),
    responder: random(32),
    presharedKey: random(32),
    timestamp: random(12),
  })
  const checker = new CookieChecker(crypto, random, pair.responder.publicKey)
  const jar = new CookieJar(crypto, pair.initiator.publicKey)
  const { message } = pair.createInitiation()
  new CookieJar(crypto, pair.responder.publicKey).stamp(message, 0)
  const source = { address: ipFromBytes(Uint8Array.of(192, 0, 2, 1)), port: 51820, scopeId: 0 }

  bench(
    'answers an initiation',
    () => {
      if (!checker.isMac1Valid(message)) throw new Error('mac1 refused')
      const received = expectDefined(pair.consumeInitiation(message))
      jar.stamp(pair.createResponse(received.state).message, 0)
    },
    OPTIONS,
  )

  bench('refuses an initiation for its mac1', () => void checker.isMac1Valid(message), OPTIONS)

  bench('sends a cookie reply', () => void checker.createCookieReply(message, source, 0), OPTIONS)
})
