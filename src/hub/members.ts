/** What a node says once it is in the network: its keys and relays, signals to others, whom it says yes to. Sans-IO. */

import { tryParseIdentity } from '../control/identity.js'
import type { ConsentMessage, NodeMessage, Refusal } from '../control/messages.js'
import { areSameKeys, type SignedTunnelKeys } from '../control/tunnel-key.js'
import type { Announcer } from './announcer.js'
import type { Conduct } from './conduct.js'
import type { HubCounters, HubEffect, SessionId } from './effects.js'
import { areKeysValid } from './proof.js'
import type { Registry } from './registry.js'
import { type Session, setRelayRtts } from './session.js'

export interface MembersParts {
  readonly registry: Registry
  readonly conduct: Conduct
  readonly announcer: Announcer
  readonly counters: HubCounters
  /** By identity. */
  readonly sessions: ReadonlyMap<string, Session>
  readonly refuse: (session: SessionId, refusal: Refusal, effects: HubEffect[]) => void
  readonly wallNowMs: () => number
}

export class Members {
  readonly #parts: MembersParts

  constructor(parts: MembersParts) {
    this.#parts = parts
  }

  handleUpdate(
    session: Session,
    update: Extract<NodeMessage, { type: 'update' }>,
    effects: HubEffect[],
  ): void {
    const node = this.#parts.registry.find(session.identity)
    if (node === undefined) return
    const { tunnelKey, previousTunnelKey, relayRtts } = update
    let isNews = false
    if (tunnelKey !== undefined && !areSameKeys(node, { tunnelKey, previousTunnelKey })) {
      const pauseS = this.#parts.conduct.take(node.identity, 'keys')
      if (pauseS > 0) {
        this.#parts.refuse(
          session.id,
          this.#parts.conduct.restrain(node, 'it changes its keys too often', pauseS),
          effects,
        )
        return
      }
      isNews = this.#trySetKeys(node.identity, { tunnelKey, previousTunnelKey })
    }
    if (relayRtts !== undefined && setRelayRtts(session, relayRtts)) isNews = true
    const current = isNews ? this.#parts.registry.find(node.identity) : undefined
    if (current !== undefined) this.#parts.announcer.news(current, effects)
  }

  #trySetKeys(identity: string, keys: SignedTunnelKeys): boolean {
    const { registry, wallNowMs } = this.#parts
    const bytes = tryParseIdentity(identity)
    const isTaken = registry.isKeyOfAnother(identity, keys)
    if (bytes === undefined || isTaken || !areKeysValid(bytes, keys, wallNowMs())) {
      this.#parts.counters.malformed += 1
      return false
    }
    registry.setTunnelKeys(identity, keys)
    return true
  }

  /** Among those who know each other only: it may tell where its sender is. */
  handleSignal(
    { identity: from }: Session,
    { to, body }: Extract<NodeMessage, { type: 'signal' }>,
    effects: HubEffect[],
  ): void {
    const { registry } = this.#parts
    const [receiver, own, other] = [this.#parts.sessions.get(to), registry.find(from), registry.find(to)]
    if (receiver === undefined || own === undefined || other === undefined) return
    if (registry.knowledgeOf(own, other) !== 'all') return
    if (this.#parts.conduct.take(from, 'signal') > 0) {
      this.#parts.counters.droppedSignals += 1
      return
    }
    this.#parts.counters.signals += 1
    effects.push({ kind: 'send', session: receiver.id, message: { type: 'signal', from, body } })
  }

  handleConsent(session: Session, { identity, isGiven }: ConsentMessage, effects: HubEffect[]): void {
    const { registry } = this.#parts
    const [own, other] = [registry.find(session.identity), registry.find(identity)]
    if (!registry.network.needsConsent || own === undefined || other === undefined || own === other) return
    const before = registry.knowledgeOf(own, other)
    // No answer, as if there were no such node: who may not know of it does not learn that it exists.
    if (isGiven && before === 'nothing') return
    if (registry.consents.has(own.identity, identity) === isGiven) return
    const pauseS = this.#parts.conduct.take(own.identity, 'consent')
    if (pauseS > 0) {
      // Closed, not passed over: a node that comes back corrects what the hub does not know yet.
      this.#parts.refuse(
        session.id,
        this.#parts.conduct.restrain(own, 'it changes its consents too often', pauseS),
        effects,
      )
      return
    }
    if (registry.consents.set(own, other, isGiven)) {
      this.#parts.announcer.knowledgeChanged([own, other], before, effects)
    }
  }
}
