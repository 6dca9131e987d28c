/**
 * Who hears what of whom. A change goes to the nodes that it concerns, as a change; whole lists go to a node
 * once, when it comes.
 *
 * INVARIANT: keys, addresses and relays of a node go only to those who may know all of it. Who lacks but
 * consent for that hears its name and identity, so that there is somebody to say yes to.
 */

import { addressOf } from '../control/addresses.js'
import { tryParseIdentity } from '../control/identity.js'
import {
  type AskingNode,
  type HubMessage,
  MAX_ASKING,
  MAX_ASKING_PER_MESSAGE,
  MAX_NODES_PER_MESSAGE,
  type NodeInfo,
} from '../control/messages.js'
import { formatIp } from '../net/ip.js'
import { tryParsePrefix } from '../net/prefix.js'
import type { Crypto } from '../wireguard/crypto.js'
import type { HubEffect } from './effects.js'
import type { Knowledge, Registry } from './registry.js'
import type { Session } from './session.js'
import type { NodeRecord } from './store.js'

export interface AnnouncerOptions {
  readonly registry: Registry
  readonly crypto: Crypto
  /** By identity. */
  readonly sessions: ReadonlyMap<string, Session>
  /** Whether news of a node may go to all now; that costs. */
  readonly mayTell: (identity: string) => boolean
}

/** Sessions that know of a node, and how much. */
type Audience = readonly (readonly [Session, Exclude<Knowledge, 'nothing'>])[]

const ORDER: readonly AskingNode['direction'][] = ['theirs', 'ours', 'none']

export class Announcer {
  /** Sent since the start. */
  deltas = 0
  readonly #options: AnnouncerOptions
  /** Made when a node is first told of: a hash each. */
  readonly #v6 = new Map<string, string>()
  /** Of whom there is news that has to wait. */
  readonly #delayed = new Set<string>()

  constructor(options: AnnouncerOptions) {
    this.#options = options
  }

  addressOf(identity: string): string {
    const known = this.#v6.get(identity)
    if (known !== undefined) return known
    const prefix = tryParsePrefix(this.#options.registry.network.prefix6)
    const bytes = tryParseIdentity(identity)
    if (prefix === undefined || bytes === undefined) throw new RangeError('no identity or no network')
    const text = formatIp(addressOf(this.#options.crypto, prefix, bytes))
    this.#v6.set(identity, text)
    return text
  }

  /** Everybody else, to one who just came. */
  list({ id: session, identity }: Session, effects: HubEffect[]): void {
    const { registry } = this.#options
    const own = registry.find(identity)
    const nodes: NodeInfo[] = []
    const asking: AskingNode[] = []
    for (const node of registry.nodes) {
      const knowledge = own === undefined || node === own ? 'nothing' : registry.knowledgeOf(own, node)
      if (knowledge === 'all') nodes.push(this.#infoOf(node))
      if (knowledge === 'name') asking.push(this.#askingFor(identity, node))
    }
    for (const { part: changed, isLast } of inParts(nodes, MAX_NODES_PER_MESSAGE)) {
      const message: HubMessage = { type: 'nodes', changed, removed: [], isComplete: isLast }
      effects.push({ kind: 'send', session, message })
    }
    if (!registry.network.needsConsent) return
    asking.sort((a, b) => ORDER.indexOf(a.direction) - ORDER.indexOf(b.direction))
    for (const { part: changed, isFirst } of inParts(asking.slice(0, MAX_ASKING), MAX_ASKING_PER_MESSAGE)) {
      const message: HubMessage = { type: 'asking', changed, removed: [], isFirst }
      effects.push({ kind: 'send', session, message })
    }
  }

  /** It is new or has another name. */
  introduce(node: NodeRecord, effects: HubEffect[]): void {
    this.#change(node, effects)
    for (const [session, knowledge] of this.audienceOf(node)) {
      if (knowledge === 'name') this.#tellName(session, node, effects)
    }
  }

  /** Something else of it changed: told at once, or later together with what changes until then. */
  news(node: NodeRecord, effects: HubEffect[]): void {
    if (!this.#options.mayTell(node.identity)) {
      this.#delayed.add(node.identity)
      return
    }
    this.#delayed.delete(node.identity)
    this.#change(node, effects)
  }

  /** From time to time. */
  tellDelayed(effects: HubEffect[]): void {
    for (const identity of [...this.#delayed]) {
      const node = this.#options.registry.find(identity)
      if (node === undefined) this.#delayed.delete(identity)
      else this.news(node, effects)
    }
  }

  #change(node: NodeRecord, effects: HubEffect[]): void {
    const message: HubMessage = { type: 'nodes', changed: [this.#infoOf(node)], removed: [] }
    for (const [session, knowledge] of this.audienceOf(node)) {
      if (knowledge === 'all') this.#send(session, message, effects)
    }
  }

  /** `audience`: as it was before. */
  remove(identity: string, audience: Audience, effects: HubEffect[]): void {
    this.#v6.delete(identity)
    const messages: Record<(typeof audience)[number][1], HubMessage> = {
      all: { type: 'nodes', changed: [], removed: [identity] },
      name: { type: 'asking', changed: [], removed: [identity] },
    }
    for (const [session, knowledge] of audience) this.#send(session, messages[knowledge], effects)
  }

  /** Because of a consent or a tag. `before`: what the two knew of each other. */
  knowledgeChanged(pair: readonly [NodeRecord, NodeRecord], before: Knowledge, effects: HubEffect[]): void {
    const [one, other] = pair
    const { registry, sessions } = this.#options
    const after = registry.knowledgeOf(one, other)
    for (const [receiver, node] of [pair, [other, one]] as const) {
      const session = sessions.get(receiver.identity)
      if (session === undefined || (after === before && after !== 'name')) continue
      const removed = [node.identity]
      if (before === 'name' && after !== 'name') {
        this.#send(session, { type: 'asking', changed: [], removed }, effects)
      }
      if (after === 'all') {
        this.#send(session, { type: 'nodes', changed: [this.#infoOf(node)], removed: [] }, effects)
        continue
      }
      if (before === 'all') this.#send(session, { type: 'nodes', changed: [], removed }, effects)
      if (after === 'name') this.#tellName(session, node, effects)
    }
  }

  /** Everybody else who knows of it. */
  audienceOf(node: NodeRecord): Audience {
    const { registry, sessions } = this.#options
    const audience: [Session, Exclude<Knowledge, 'nothing'>][] = []
    for (const session of sessions.values()) {
      const receiver = session.identity === node.identity ? undefined : registry.find(session.identity)
      const knowledge = receiver === undefined ? 'nothing' : registry.knowledgeOf(receiver, node)
      if (knowledge !== 'nothing') audience.push([session, knowledge])
    }
    return audience
  }

  #tellName(session: Session, node: NodeRecord, effects: HubEffect[]): void {
    const changed = [this.#askingFor(session.identity, node)]
    this.#send(session, { type: 'asking', changed, removed: [] }, effects)
  }

  #send({ id: session }: Session, message: HubMessage, effects: HubEffect[]): void {
    this.deltas += 1
    effects.push({ kind: 'send', session, message })
  }

  #askingFor(receiver: string, { identity, name }: NodeRecord): AskingNode {
    const { consents } = this.#options.registry
    if (consents.has(identity, receiver)) return { identity, name, direction: 'theirs' }
    return { identity, name, direction: consents.has(receiver, identity) ? 'ours' : 'none' }
  }

  #infoOf(node: NodeRecord): NodeInfo {
    const session = this.#options.sessions.get(node.identity)
    return {
      identity: node.identity,
      name: node.name,
      v4: node.v4,
      v6: this.addressOf(node.identity),
      tunnelKey: node.tunnelKey,
      relayRtts: session?.relayRtts ?? {},
      ...(node.previousTunnelKey !== undefined && { previousTunnelKey: node.previousTunnelKey }),
      isOnline: session !== undefined,
    }
  }
}

interface Part<T> {
  readonly part: readonly T[]
  readonly isFirst: boolean
  readonly isLast: boolean
}

/** One at least, be it empty. */
function inParts<T>(items: readonly T[], size: number): Part<T>[] {
  const parts: Part<T>[] = []
  for (let at = 0; at === 0 || at < items.length; at += size) {
    parts.push({
      part: items.slice(at, at + size),
      isFirst: at === 0,
      isLast: at + size >= items.length,
    })
  }
  return parts
}
