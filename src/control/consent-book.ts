/**
 * A node's side of consent: to whom it said yes, and what the hub says of those who lack a yes. What the node
 * said is what counts: where the hub says otherwise it is told, once a session.
 *
 * INVARIANT: a network that asked for consent once is never believed to ask for none.
 */

import {
  type AskingMessage,
  type AskingNode,
  type ConsentMessage,
  MAX_ASKING,
  MAX_CONSENTS,
  type NodesMessage,
  type Welcome,
} from './messages.js'

/** To whom a node said yes. */
export interface GivenConsent {
  /** Base64. */
  readonly identity: string
  /** As it was then. */
  readonly name: string
}

export interface StoredConsents {
  readonly isNeeded: boolean
  readonly given: readonly GivenConsent[]
}

/** Bound on what one hub can make a node tell it in a session. */
const MAX_TOLD = 65_535

export class ConsentBook {
  #isNeeded = false
  readonly #given = new Map<string, GivenConsent>()
  readonly #asking = new Map<string, AskingNode>()
  /** What the hub was told since the last welcome. */
  readonly #told = new Map<string, boolean>()

  get isNeeded(): boolean {
    return this.#isNeeded
  }

  get given(): GivenConsent[] {
    return [...this.#given.values()]
  }

  /** As the hub sees them. */
  get asking(): AskingNode[] {
    return [...this.#asking.values()]
  }

  isGiven(identity: string): boolean {
    return this.#given.has(identity)
  }

  isWelcome(identity: string): boolean {
    return !this.#isNeeded || this.#given.has(identity)
  }

  // --- hub -------------------------------------------------------------------------------------

  handleWelcome({ needsConsent }: Welcome): void {
    this.#isNeeded ||= needsConsent === true
    this.#told.clear()
  }

  /** Gives what the hub is to be told. */
  handleAsking({ changed, removed, isFirst }: AskingMessage): ConsentMessage[] {
    if (!this.#isNeeded) return []
    if (isFirst === true) this.#asking.clear()
    for (const identity of removed) this.#asking.delete(identity)
    for (const node of changed) this.#put(node)
    return changed.flatMap(({ identity, direction }) => this.#correction(identity, direction === 'ours'))
  }

  /** Gives what the hub is to be told. */
  handleNodes({ changed }: NodesMessage): ConsentMessage[] {
    if (!this.#isNeeded) return []
    return changed.flatMap(({ identity }) => this.#correction(identity, true))
  }

  // --- the person ------------------------------------------------------------------------------

  /** One more may say yes. */
  canGive(identity: string): boolean {
    return this.#given.has(identity) || this.#given.size < MAX_CONSENTS
  }

  /** Gives what the hub is to be told. */
  give({ identity, name }: GivenConsent): ConsentMessage {
    this.#given.set(identity, { identity, name })
    return this.#tell(identity, true)
  }

  /** `wasMet`: the two could reach each other, so its yes is there still. */
  revoke({ identity, name }: GivenConsent, wasMet: boolean): ConsentMessage {
    this.#given.delete(identity)
    if (wasMet) this.#put({ identity, name, direction: 'theirs' })
    return this.#tell(identity, false)
  }

  // --- storing ---------------------------------------------------------------------------------

  toStored(): StoredConsents {
    return { isNeeded: this.#isNeeded, given: this.given }
  }

  /** As it would be after `give` or `revoke`: what is decided is stored first. */
  storedWith(node: GivenConsent, isGiven: boolean): StoredConsents {
    const others = this.given.filter(({ identity }) => identity !== node.identity)
    return { isNeeded: this.#isNeeded, given: isGiven ? [...others, node] : others }
  }

  restore({ isNeeded, given }: StoredConsents): void {
    this.#isNeeded ||= isNeeded
    for (const node of given) this.#given.set(node.identity, node)
  }

  // --- inside ----------------------------------------------------------------------------------

  /** When there are too many, whoever said yes takes the place of one who did not. */
  #put(node: AskingNode): void {
    if (!this.#asking.has(node.identity) && this.#asking.size >= MAX_ASKING) {
      const last = this.asking.findLast(({ direction }) => direction === 'none')
      if (node.direction === 'none' || last === undefined) return
      this.#asking.delete(last.identity)
    }
    this.#asking.set(node.identity, node)
  }

  #correction(identity: string, isGivenThere: boolean): ConsentMessage[] {
    const isGiven = this.#given.has(identity)
    if (isGiven === isGivenThere || this.#told.get(identity) === isGiven) return []
    return this.#told.size < MAX_TOLD ? [this.#tell(identity, isGiven)] : []
  }

  #tell(identity: string, isGiven: boolean): ConsentMessage {
    this.#told.set(identity, isGiven)
    return { type: 'consent', identity, isGiven }
  }
}
