/**
 * Relays of the network that are processes of their own, and have a session with the hub: they hear who is in
 * the network and who may know whom (control/directory.ts). Only those that the hub's settings name are heard.
 */

import { tryParseBase64 } from '../base/bytes.js'
import type { DirectoryMessage, KeyChange, RelayHello } from '../control/directory.js'
import { type Identity, isSignedBy, tryParseIdentity } from '../control/identity.js'
import { type NodeMessage, PROOF_LABEL, type Refusal, type RelayInfo } from '../control/messages.js'
import type { DirectoryFeed } from './directory-feed.js'
import type { HubEffect, SessionId } from './effects.js'
import type { Registry } from './registry.js'

/** For a relay that the settings do not name yet. */
const UNKNOWN_PAUSE_S = 3

export interface RelaySessionsOptions {
  readonly registry: Registry
  readonly feed: DirectoryFeed
  /** What signs tickets now, and the change of keys that is under way. */
  readonly keys: () => { readonly identity: Identity; readonly change: KeyChange | undefined }
  readonly relays: () => readonly RelayInfo[]
  /** Boot clock. */
  readonly nowMs: () => number
}

/** One relay, as its hub sees it. */
export interface RelayPresence {
  readonly isConnected: boolean
  /** It has heard all there is. */
  readonly isCurrent: boolean
  /** Boot clock, ms; undefined if it has not been heard. */
  readonly heardAtMs: number | undefined
}

interface RelaySession {
  readonly id: SessionId
  readonly identity: string
  epoch: number
  heardAtMs: number
  /** What it was told holds all changes that are still to be told. */
  isNew: boolean
}

export class RelaySessions {
  readonly #options: RelaySessionsOptions
  readonly #byId = new Map<SessionId, RelaySession>()

  constructor(options: RelaySessionsOptions) {
    this.#options = options
  }

  has(id: SessionId): boolean {
    return this.#byId.has(id)
  }

  /** Gives why it is not let in; undefined if it is. */
  handleHello(
    id: SessionId,
    hello: RelayHello,
    handshakeHash: Uint8Array,
    effects: HubEffect[],
  ): Refusal | undefined {
    const { registry, keys, feed, relays, nowMs } = this.#options
    const identity = tryParseIdentity(hello.identity)
    const proof = tryParseBase64(hello.proof)
    const isProven =
      identity !== undefined && proof !== undefined && isSignedBy(identity, proof, PROOF_LABEL, handshakeHash)
    if (!isProven || !relays().some(({ key }) => key === hello.identity)) {
      return {
        type: 'refused',
        code: 'unknown',
        message: 'the hub knows no relay with this key',
        hint: `on the hub, type: overlay hub relay add HOST:PORT:${hello.identity}`,
        retryAfterS: UNKNOWN_PAUSE_S,
      }
    }
    registry.revocations.raise(hello.epoch)
    for (const older of this.#byId.values())
      if (older.identity === hello.identity) this.#end(older.id, effects)
    this.#byId.set(id, { id, identity: hello.identity, epoch: 0, heardAtMs: nowMs(), isNew: true })
    const welcome = {
      type: 'relayWelcome',
      network: registry.network.name,
      ticketKey: keys().identity.text,
    } as const
    effects.push({ kind: 'tellRelay', session: id, message: welcome })
    for (const message of feed.whole()) effects.push({ kind: 'tellRelay', session: id, message })
    return undefined
  }

  handleMessage(id: SessionId, message: NodeMessage, effects: HubEffect[]): void {
    const session = this.#byId.get(id)
    if (session === undefined) return
    session.heardAtMs = this.#options.nowMs()
    if (message.type === 'heard') session.epoch = message.epoch
    this.#beat(id, effects)
  }

  /** The keys of the hub change. */
  tellKeyChange(effects: HubEffect[]): void {
    for (const id of this.#byId.keys()) this.#beat(id, effects)
  }

  #beat(id: SessionId, effects: HubEffect[]): void {
    const { feed, keys } = this.#options
    const { change } = keys()
    const next = change && { change: { key: change.key, untilS: change.untilS } }
    effects.push({ kind: 'tellRelay', session: id, message: { type: 'beat', atS: feed.atS, ...next } })
  }

  handleClosed(id: SessionId): void {
    this.#byId.delete(id)
  }

  /** What changed, for all of them. */
  tell(messages: readonly DirectoryMessage[]): HubEffect[] {
    const sessions = [...this.#byId.values()].filter(({ isNew }) => !isNew)
    for (const session of this.#byId.values()) session.isNew = false
    return sessions.flatMap(({ id: session }) =>
      messages.map((message): HubEffect => ({ kind: 'tellRelay', session, message })),
    )
  }

  /** The settings name others now: those that they name no longer are let go. */
  handleSettings(effects: HubEffect[]): void {
    const known = new Set(this.#options.relays().map(({ key }) => key))
    for (const { id, identity } of this.#byId.values()) if (!known.has(identity)) this.#end(id, effects)
  }

  presenceOf(key: string): RelayPresence {
    const session = [...this.#byId.values()].find(({ identity }) => identity === key)
    const { epoch } = this.#options.registry.revocations
    return {
      isConnected: session !== undefined,
      isCurrent: session !== undefined && session.epoch >= epoch,
      heardAtMs: session?.heardAtMs,
    }
  }

  #end(id: SessionId, effects: HubEffect[]): void {
    this.#byId.delete(id)
    effects.push({ kind: 'close', session: id })
  }
}
