/**
 * Hostile input, the same for every run of one seed: datagrams and UAPI requests that no honest
 * peer or program sends.
 *
 * INVARIANT: no datagram has a valid mac1 unless it is a whole copy of a recorded message, so a
 * device owes none of them an answer; no request is one that a device may carry out.
 */

import { INITIATION_BYTES, MAC_BYTES } from '../../src/wireguard/constants.js'
import { CookieJar } from '../../src/wireguard/cookie.js'
import type { RandomBytes } from '../../src/wireguard/crypto.js'
import { nobleCrypto } from '../../src/wireguard/crypto-noble.js'
import { type PublicKey, tryParseKeyBase64 } from '../../src/wireguard/keys.js'

function below(random: RandomBytes, limit: number): number {
  const [a = 0, b = 0, c = 0] = random(3)
  return ((a << 16) | (b << 8) | c) % limit
}

const MAX_DATAGRAM_BYTES = 1472
const TYPE_BYTES = 4

function mutate(random: RandomBytes, message: Uint8Array): Buffer {
  const bytes = Buffer.from(message)
  // A change in mac2 alone would leave an initiation that deserves a cookie reply.
  const reach = bytes.length <= INITIATION_BYTES ? Math.max(1, bytes.length - MAC_BYTES) : bytes.length
  // Not in the type either: a later change of type could undo it.
  const at = Math.min(TYPE_BYTES + below(random, reach), reach - 1)
  const kind = below(random, 4)
  bytes[at] = (bytes[at] ?? 0) ^ (1 << below(random, 8))
  if (kind === 0) return bytes.subarray(0, below(random, bytes.length + 1))
  if (kind === 1) return Buffer.concat([bytes, random(1 + below(random, 64))])
  if (kind === 2) bytes[0] = below(random, 6)
  return bytes
}

/** `recorded`: real messages to the same device. A third of the datagrams is random, the rest altered. */
export function* hostileDatagrams(
  random: RandomBytes,
  recorded: readonly Uint8Array[],
  count: number,
): Generator<Buffer> {
  for (let i = 0; i < count; i++) {
    const message = recorded[below(random, recorded.length)]
    if (i % 3 === 0 || message === undefined) {
      const bytes = Buffer.from(random(Math.floor(i / 3) % (MAX_DATAGRAM_BYTES + 1)))
      // Half of the random ones claim to be of a type there is.
      if (bytes.length >= 4 && i % 2 === 0) bytes.writeUInt32LE(1 + below(random, 4))
      yield bytes
    } else {
      yield mutate(random, message)
    }
  }
}

/** Initiations that say nothing, but show that their sender knows the receiver's public key. */
export function* initiationsWithMac1(
  random: RandomBytes,
  receiverKey: string,
  count: number,
): Generator<Uint8Array> {
  const key = tryParseKeyBase64<PublicKey>(receiverKey)
  if (key === undefined) throw new Error('not a public key')
  for (let i = 0; i < count; i++) {
    const message = random(INITIATION_BYTES)
    message.set([1, 0, 0, 0])
    new CookieJar(nobleCrypto, key).stamp(message, 0)
    yield message
  }
}

const HEX_KEY = 'ab'.repeat(32)

const BAD_REQUESTS: readonly ((random: RandomBytes) => string)[] = [
  () => 'get=2\n\n',
  () => 'set=1\nno_such_key=1\n\n',
  () => 'set=1\nlisten_port=65536\n\n',
  () => 'set=1\nlisten_port=-1\n\n',
  () => 'set=1\nlisten_port=51999\nfwmark=banana\n\n',
  () => `set=1\nlisten_port=51999\nprivate_key=${HEX_KEY}00\n\n`,
  () => 'set=1\nallowed_ip=10.0.0.0/8\n\n',
  () => `set=1\npublic_key=${HEX_KEY}\nallowed_ip=10.0.0.0/33\n\n`,
  () => `set=1\npublic_key=${HEX_KEY}\nallowed_ip=2001:db8::/129\n\n`,
  () => `set=1\npublic_key=${HEX_KEY}\nendpoint=example.org\n\n`,
  () => `set=1\npublic_key=${HEX_KEY}\nendpoint=1.2.3.4:99999\n\n`,
  () => `set=1\npublic_key=${HEX_KEY}\npersistent_keepalive_interval=65536\n\n`,
  () => `set=1\npublic_key=${HEX_KEY}\nprotocol_version=2\n\n`,
  () => `set=1\nreplace_peers=true\npublic_key=${HEX_KEY.slice(2)}\n\n`,
  () => 'set=1\nlisten_port\n\n',
  () => 'set=1\n=1\n\n',
  () => '\n\n',
  () => 'set=1\nlisten_port=51999\0\n\n',
  (random) => `set=1\n${Buffer.from(random(below(random, 200))).toString('base64')}!\n\n`,
  (random) =>
    `${Buffer.from(random(1 + below(random, 400)))
      .toString('latin1')
      .replaceAll('=', '!')}\n\n`,
  (random) => `set=1\npublic_key=${'a'.repeat(65 + below(random, 60_000))}\n\n`,
  // Cut off before the empty line that would end it.
  (random) => `set=1\nlisten_port=${1 + below(random, 9)}`,
]

export function* badRequests(random: RandomBytes, count: number): Generator<string> {
  for (let i = 0; i < count; i++) yield BAD_REQUESTS[i % BAD_REQUESTS.length]?.(random) ?? ''
}
