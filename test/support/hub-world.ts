/** A hub without sockets, and sessions that say and hear things, for tests. */

import { networkPrefix4 } from '../../src/control/addresses.js'
import { type Identity, identityFromSeed } from '../../src/control/identity.js'
import type { HubKeyMessage, HubMessage, NodeMessage, RelayInfo } from '../../src/control/messages.js'
import { createNetwork } from '../../src/hub/create-network.js'
import type { HubEffect, SessionId } from '../../src/hub/effects.js'
import { Hub } from '../../src/hub/hub.js'
import { MemoryStore } from '../../src/hub/memory-store.js'
import { Registry } from '../../src/hub/registry.js'
import type { Store } from '../../src/hub/store.js'
import { nobleCrypto } from '../../src/wireguard/crypto-noble.js'
import { HANDSHAKE_HASH, helloOf, type TestNode, WALL_MS } from './control.js'
import { countingBytes } from './hex.js'
import { seededRandom } from './seeded-random.js'

export const IDENTITY: Identity = identityFromSeed(countingBytes(32, 50))
export const RELAY: RelayInfo = { key: IDENTITY.text, host: 'hub.example.org', port: 443 }

export class HubWorld {
  nowMs: number = WALL_MS
  readonly store: Store
  readonly registry: Registry
  readonly hub: Hub
  readonly sent: HubEffect[] = []
  /** Of the hub's key, if one is under way. */
  change: HubKeyMessage | undefined

  constructor(
    network: { needsApproval?: boolean; needsConsent?: boolean; command?: string } = {},
    store: Store = new MemoryStore(),
  ) {
    this.store = store
    const { needsApproval = false, needsConsent = false, command = 'overlay hub' } = network
    const options = {
      store: this.store,
      crypto: nobleCrypto,
      random: seededRandom(4),
      wallNowMs: () => this.nowMs,
    }
    createNetwork(options, { name: 'home', needsApproval, needsConsent, range: networkPrefix4(4) })
    this.registry = new Registry(options)
    this.hub = new Hub({
      registry: this.registry,
      crypto: nobleCrypto,
      keys: () => ({ identity: IDENTITY, succession: undefined, change: this.change }),
      command,
      relays: () => [RELAY],
      stun: [{ host: 'hub.example.org', port: 3478 }],
      nowMs: () => this.nowMs,
      wallNowMs: () => this.nowMs,
    })
  }

  say(session: SessionId, message: NodeMessage): void {
    this.hub.handleMessage(session, message, { handshakeHash: HANDSHAKE_HASH, from: '192.0.2.1' }, this.sent)
  }

  /** What a session heard since it was asked last. */
  heard(session: SessionId): (HubMessage | 'close')[] {
    const mine = this.sent.filter(
      (effect) => effect.kind !== 'directory' && effect.kind !== 'tellRelay' && effect.session === session,
    )
    for (const effect of mine) this.sent.splice(this.sent.indexOf(effect), 1)
    return mine.map((effect) => (effect.kind === 'send' ? effect.message : 'close'))
  }

  token(more = {}): string {
    const order = { nodeName: '', tags: [], uses: 1, lifetimeMs: 60_000, isEphemeral: false, ...more }
    return this.registry.tokens.create(order).secret
  }

  /** With a token of its own. */
  join(session: SessionId, node: TestNode, name: string): void {
    this.say(session, helloOf(node, { secret: this.token(), name }))
  }
}
