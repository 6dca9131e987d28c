/**
 * Whom this node trusts, as a person sees and decides it (`overlay trust`): whom the netmap refused until
 * somebody vouches for it and, where the network asks for consent, to whom this node says yes.
 *
 * What was decided is on disk before anything follows from it, and holds whether the hub is there or not. Where
 * it cannot be stored, the command fails and nothing has changed.
 */

import { AppError, ERROR_CODES } from '../../base/errors.js'
import { ConsentBook, type StoredConsents } from '../../control/consent-book.js'
import {
  type AskingMessage,
  type AskingNode,
  MAX_CONSENTS,
  type NodeMessage,
  type NodesMessage,
  type Welcome,
} from '../../control/messages.js'
import type { Netmap, NetmapChange } from '../../control/netmap.js'
import { type Pins, type StoredPins, withOwners } from '../../control/pins.js'
import type { TrustEntry, TrustOrder, TrustReport } from '../local-api-schema.js'

const HUB_IS_AWAY = 'the hub is not reached now and will be told when it is'
const SEE_ALL = 'see who there is: overlay trust'

/** What a node decided or saw first, and is never to forget. */
export interface StoredTrust {
  readonly pins: StoredPins
  readonly consents: StoredConsents
}

export interface TrustOptions {
  /** Base64. */
  readonly ownIdentity: string
  /** The netmap's. */
  readonly pins: Pins
  /** Undefined until the hub said something, or a store did. */
  readonly netmap: () => Netmap | undefined
  readonly apply: (change: NetmapChange | undefined) => void
  /** False if there is no session. */
  readonly send: (message: NodeMessage) => boolean
  /** At once, and lasting. Throws AppError if it cannot be. */
  readonly save: (trust: StoredTrust) => void
}

export class Trust {
  readonly #options: TrustOptions
  readonly #book = new ConsentBook()

  constructor(options: TrustOptions) {
    this.#options = options
  }

  isWelcome(identity: string): boolean {
    return this.#book.isWelcome(identity)
  }

  toStored(): StoredTrust {
    return { pins: this.#options.pins.toStored(), consents: this.#book.toStored() }
  }

  restore({ pins, consents }: StoredTrust): void {
    this.#options.pins.restore(pins)
    this.#book.restore(consents)
  }

  // --- hub -------------------------------------------------------------------------------------

  handleWelcome(welcome: Welcome): void {
    this.#book.handleWelcome(welcome)
  }

  handleMessage(message: AskingMessage | NodesMessage): void {
    const answers =
      message.type === 'nodes' ? this.#book.handleNodes(message) : this.#book.handleAsking(message)
    for (const answer of answers) this.#options.send(answer)
  }

  // --- the person ------------------------------------------------------------------------------

  /** `ownName`: in the network. */
  report(ownName: string): TrustReport {
    const nodes = this.#entries().sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state))
    const { ownIdentity } = this.#options
    return { node: ownName, identity: ownIdentity, isConsentNeeded: this.#book.isNeeded, nodes }
  }

  /** Names of those who said yes and have none of this node. */
  get waiting(): string[] {
    return this.#entries().flatMap(({ node, state }) => (state === 'waits' ? node : []))
  }

  /** Throws AppError. */
  handleOrder({ node, isRevoked }: TrustOrder): TrustEntry {
    return isRevoked ? this.#revoke(node) : this.#give(node)
  }

  #give(who: string): TrustEntry {
    const found = this.#entries().filter(({ node, identity }) => node === who || identity === who)
    const open = found.filter(({ state }) => state === 'waits' || state === 'none' || state === 'refused')
    const [settled] = found
    if (open.length === 0 && settled !== undefined) return settled
    const entry = theOnly(
      open,
      who,
      `nobody of the name "${who}" waits for this node's word, or could be asked`,
    )
    const { node: name, identity } = entry
    const { netmap, pins, save, apply, send } = this.#options
    const claims = netmap()?.claimsOf(identity) ?? []
    let isTold = true
    if (this.#book.isNeeded) {
      if (who !== identity && !this.#book.isGiven(identity)) this.#requireSameAsBefore(entry)
      if (!this.#book.canGive(identity)) {
        const hint = 'take back what is not needed any more: overlay trust NAME --revoke'
        throw new AppError(ERROR_CODES.limit, `this node has said yes to ${MAX_CONSENTS} others`, { hint })
      }
      const owned = withOwners(pins.toStored(), [name, ...claims], identity)
      save({ pins: owned, consents: this.#book.storedWith({ identity, name }, true) })
      const message = this.#book.give({ identity, name })
      apply(netmap()?.pin(name, identity))
      isTold = send(message)
    } else {
      save({ pins: withOwners(pins.toStored(), claims, identity), consents: this.#book.toStored() })
    }
    apply(netmap()?.trust(identity))
    const { state, detail } = this.#entryOf(entry)
    if (state === 'refused') throw new AppError(ERROR_CODES.refused, detail)
    return { ...entry, state, detail: isTold ? detail : HUB_IS_AWAY }
  }

  #revoke(who: string): TrustEntry {
    if (!this.#book.isNeeded) {
      const hint = 'to part two nodes, give them different tags; to remove one: overlay hub remove'
      throw new AppError(ERROR_CODES.conflict, 'this network does not ask for consent', { hint })
    }
    const found = this.#entries().filter(({ node, identity }) => node === who || identity === who)
    const given = found.filter(({ identity }) => this.#book.isGiven(identity))
    const entry = theOnly(given, who, `this node has not said yes to "${who}"`)
    const { identity, node: name } = entry
    const { pins, save } = this.#options
    save({ pins: pins.toStored(), consents: this.#book.storedWith({ identity, name }, false) })
    const netmap = this.#options.netmap()
    const message = this.#book.revoke({ identity, name }, netmap?.find(identity) !== undefined)
    this.#options.apply(netmap?.apply({ type: 'nodes', changed: [], removed: [identity] }))
    const isTold = this.#options.send(message)
    return { ...this.#entryOf({ ...entry, state: 'none' }), detail: isTold ? '' : HUB_IS_AWAY }
  }

  // --- inside ----------------------------------------------------------------------------------

  /** Each identity once; what needs a person is said of it before anything else. */
  #entries(): TrustEntry[] {
    const netmap = this.#options.netmap()
    const entries = new Map<string, TrustEntry>()
    const put = (node: string, identity: string, state: TrustEntry['state'], detail = ''): void => {
      entries.set(identity, { node, identity, state, detail })
    }
    for (const { name, identity } of this.#book.given) put(name, identity, 'gone')
    for (const asking of this.#book.asking) {
      const { name, identity } = asking
      const owner = this.#formerOwner(name, identity)
      const detail = owner === undefined ? '' : `the name was that of ${owner} until now`
      put(name, identity, this.#stateOf(asking), detail)
    }
    for (const { name, identity } of netmap?.nodes ?? []) put(name, identity, 'trusted')
    for (const { name, identity, fault } of netmap?.refused ?? []) put(name, identity, 'refused', fault)
    return [...entries.values()]
  }

  #entryOf(otherwise: TrustEntry): TrustEntry {
    return this.#entries().find(({ identity }) => identity === otherwise.identity) ?? otherwise
  }

  #stateOf({ identity, direction }: AskingNode): TrustEntry['state'] {
    const isGiven = this.#book.isGiven(identity)
    if (direction === 'theirs') return isGiven ? 'agreed' : 'waits'
    return isGiven ? 'asked' : 'none'
  }

  #formerOwner(name: string, identity: string): string | undefined {
    const owner = this.#options.pins.ownerOf(name)
    return owner === identity ? undefined : owner
  }

  /** A name alone is not enough to vouch for another identity than it had: the hub gives names. */
  #requireSameAsBefore({ node: name, identity }: TrustEntry): void {
    const owner = this.#formerOwner(name, identity)
    if (owner === undefined) return
    throw new AppError(ERROR_CODES.conflict, `${name} was ${owner} until now, and is ${identity}`, {
      hint: `if you know that it was set up anew, type: overlay trust ${identity}`,
    })
  }
}

const ORDER: readonly TrustEntry['state'][] = [
  'waits',
  'refused',
  'agreed',
  'asked',
  'trusted',
  'gone',
  'none',
]

function theOnly(entries: readonly TrustEntry[], who: string, fault: string): TrustEntry {
  const [entry, ...more] = entries
  if (entry === undefined) throw new AppError(ERROR_CODES.noSuchNode, fault, { hint: SEE_ALL })
  if (more.length === 0) return entry
  throw new AppError(ERROR_CODES.conflict, `there are ${entries.length} nodes of the name ${who}`, {
    hint: `say which by its identity: ${entries.map(({ identity }) => identity).join(' or ')}`,
  })
}
