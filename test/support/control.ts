/** Nodes as a hub sees them, for tests. */

import { formatBase64 } from '../../src/base/bytes.js'
import { addressOf } from '../../src/control/addresses.js'
import { type Identity, identityFromSeed } from '../../src/control/identity.js'
import { type Hello, type NodeInfo, PROOF_LABEL } from '../../src/control/messages.js'
import { signTunnelKey } from '../../src/control/tunnel-key.js'
import { formatIp } from '../../src/net/ip.js'
import { type Prefix, tryParsePrefix } from '../../src/net/prefix.js'
import { nobleCrypto } from '../../src/wireguard/crypto-noble.js'
import { keyFromBytes, type PublicKey } from '../../src/wireguard/keys.js'
import { countingBytes } from './hex.js'

export const WALL_MS: number = Date.UTC(2026, 5, 1)
/** Of every node's tunnel key. */
export const KEY_NUMBER = 10
export const HANDSHAKE_HASH: Uint8Array = countingBytes(32, 3)

export function prefixOf(text: string): Prefix {
  const prefix = tryParsePrefix(text)
  if (prefix === undefined) throw new Error(`no prefix: ${text}`)
  return prefix
}

export interface TestNode {
  readonly identity: Identity
  readonly tunnelKey: ReturnType<typeof signTunnelKey>
}

/** Signing takes most of the time of tests that ask for the same few nodes again and again. */
const nodes = new Map<number, TestNode>()

/** The same object each time. */
export function testNode(number: number): TestNode {
  const node = nodes.get(number) ?? createNode(number)
  nodes.set(number, node)
  return node
}

function createNode(number: number): TestNode {
  const seed = new Uint8Array(32)
  new DataView(seed.buffer).setUint32(0, number)
  const identity = identityFromSeed(seed)
  const key = keyFromBytes<PublicKey>(nobleCrypto.hash(seed))
  const nowS = WALL_MS / 1000
  return {
    identity,
    tunnelKey: signTunnelKey(identity, key, {
      number: KEY_NUMBER,
      notBefore: nowS - 60,
      notAfter: nowS + 86_400,
    }),
  }
}

/** Another tunnel key of this node, signed as its previous one for as many days. */
export function previousKeyOf(node: TestNode, days = 1): ReturnType<typeof signTunnelKey> {
  const key = keyFromBytes<PublicKey>(nobleCrypto.hash(node.identity.publicKey))
  const nowS = WALL_MS / 1000
  const terms = { number: KEY_NUMBER, notBefore: nowS - 60, notAfter: nowS + days * 86_400 }
  return signTunnelKey(node.identity, key, terms, 'previous')
}

export function helloOf(node: TestNode, more: Partial<Hello> = {}): Hello {
  const { identity, tunnelKey } = node
  return {
    type: 'hello',
    version: 1,
    identity: identity.text,
    proof: formatBase64(identity.sign(PROOF_LABEL, HANDSHAKE_HASH)),
    tunnelKey,
    localPrefixes: [],
    ...more,
  }
}

export function infoOf(node: TestNode, prefix6: Prefix, more: Partial<NodeInfo> = {}): NodeInfo {
  const { identity, tunnelKey } = node
  return {
    identity: identity.text,
    name: 'node',
    v4: '100.64.0.7',
    v6: formatIp(addressOf(nobleCrypto, prefix6, identity.publicKey)),
    tunnelKey,
    relayRtts: {},
    isOnline: true,
    ...more,
  }
}
