/**
 * What a relay believes about one network: the directory that its hub told last (control/directory.ts), and
 * tickets where the relay cannot know better. Pure; the session with the hub is its caller's.
 *
 * While the hub is heard, the directory alone counts: whoever is in it comes in, whoever is not stays out. The
 * one exception is a ticket of a later epoch: the hub let a node in, and the news is still on its way.
 *
 * While it is not heard, links must live on, and a node that is put out meanwhile must not stay. The hub's last
 * word is as good as a ticket for everybody in the directory. Tickets end an hour after they were issued, *as of
 * the latest time at which the hub is known to have lived*: its last word, or the youngest ticket that anybody
 * showed since. If the hub is down, nobody has younger tickets, and none ends. If only this relay is cut off,
 * others bring younger ones, and whoever gets none any more is out within the hour. After MAX_ABSENCE_MS
 * without the hub nobody comes in.
 */

import { formatBase64 } from '../base/bytes.js'
import { type DirectoryMessage, type StoredDirectory, tagsAllow } from '../control/directory.js'
import { TICKET_LIFETIME_S } from '../control/ticket.js'
import type { RelayDirectory } from './directory.js'
import { TicketKeys } from './ticket-keys.js'

/** As long as tunnel keys live: after that, nodes that hear of no hub do not trust each other either. */
const MAX_ABSENCE_MS: number = 30 * 86_400_000

export interface HubDirectoryOptions {
  /** Signs the hub's tickets. */
  readonly ticketKey: Uint8Array
  readonly wallNowMs: () => number
}

/** Who is in the network, and who may know whom. */
class Content {
  /** Identity → tags. */
  readonly nodes = new Map<string, readonly number[]>()
  readonly pairs = new Set<string>()
  readonly needsConsent: boolean

  constructor(needsConsent: boolean) {
    this.needsConsent = needsConsent
  }
}

export class HubDirectory implements RelayDirectory {
  readonly #options: HubDirectoryOptions
  readonly #keys: TicketKeys
  /** Nobody may know anybody before the hub said so. */
  #content = new Content(true)
  /** The whole, as far as it was told anew; undefined while none is on its way. */
  #draft: Content | undefined
  #epoch = 0
  /** Of the hub's last word, by its clock. */
  #heardS = 0
  /** The latest time at which it is known to have lived. */
  #asOfS = 0
  #heardAtMs = 0
  #isHeard = false
  /** Who showed a ticket since the hub was heard → when that was issued. */
  readonly #shown = new Map<string, number>()

  constructor(options: HubDirectoryOptions) {
    this.#options = options
    this.#keys = new TicketKeys(options.ticketKey, options.wallNowMs)
  }

  /** Of what was told completely. */
  get epoch(): number {
    return this.#epoch
  }

  get nodeCount(): number {
    return this.#content.nodes.size
  }

  /** Wall clock, ms; 0 for never. */
  get heardAtMs(): number {
    return this.#heardAtMs
  }

  /** A session with the hub is up, and the whole has been told in it. */
  get isHeard(): boolean {
    return this.#isHeard
  }

  has(identity: string): boolean {
    return this.#content.nodes.has(identity)
  }

  // --- what the hub says -----------------------------------------------------------------------

  /** Gives who may be in the relay no longer. */
  apply(message: DirectoryMessage): ReadonlySet<string> {
    if (message.isFirst === true) this.#draft = new Content(message.needsConsent ?? true)
    // A change to what was not told in this session.
    if (this.#draft === undefined && !this.#isHeard) return new Set()
    const { nodes, pairs } = this.#draft ?? this.#content
    for (const { identity, tags } of message.changed) nodes.set(identity, tags)
    for (const identity of message.removed) nodes.delete(identity)
    for (const [one, other] of message.agreed) pairs.add(keyOf(one, other))
    for (const [one, other] of message.parted) pairs.delete(keyOf(one, other))
    if (this.#draft === undefined) {
      this.#believe(message)
      return new Set(message.removed)
    }
    if (message.isComplete !== true) return new Set()
    const before = this.#content
    this.#content = this.#draft
    this.#draft = undefined
    this.#isHeard = true
    this.#believe(message)
    return new Set([...before.nodes.keys()].filter((identity) => !nodes.has(identity)))
  }

  /** The hub lives. */
  handleBeat(atS: number): void {
    if (!this.#isHeard) return
    this.#heardS = atS
    this.#asOfS = atS
    this.#heardAtMs = this.#options.wallNowMs()
  }

  /** The session with the hub ended. */
  handleSilence(): void {
    this.#draft = undefined
    this.#isHeard = false
  }

  // --- what the relay asks ---------------------------------------------------------------------

  mayEnter(identity: Uint8Array, ticket: Uint8Array): boolean {
    const key = formatBase64(identity)
    const isListed = this.#content.nodes.has(key)
    if (this.#isHeard && isListed) return true
    const terms = this.#keys.tryOpen(ticket, identity)
    if (this.#isHeard) return terms !== undefined && terms.epoch > this.#epoch
    if (!isListed) return false
    if (terms !== undefined) {
      this.#asOfS = Math.max(this.#asOfS, terms.issuedAtS)
      this.#shown.set(key, Math.max(terms.issuedAtS, this.#shown.get(key) ?? 0))
    }
    return this.#isCurrent(key)
  }

  mayTalk(one: string, other: string): boolean {
    const { nodes, pairs, needsConsent } = this.#content
    const [tags, otherTags] = [nodes.get(one), nodes.get(other)]
    if (tags === undefined || otherTags === undefined || !tagsAllow(tags, otherTags)) return false
    return !needsConsent || pairs.has(keyOf(one, other))
  }

  /** From time to time: who may be in the relay no longer, because the hub stopped giving it tickets. */
  expired(): ReadonlySet<string> {
    if (this.#isHeard) return new Set()
    return new Set([...this.#content.nodes.keys()].filter((identity) => !this.#isCurrent(identity)))
  }

  // --- through restarts ------------------------------------------------------------------------

  /** Undefined before the hub was heard. */
  toStored(): StoredDirectory | undefined {
    if (this.#heardAtMs === 0) return undefined
    const { nodes, pairs, needsConsent } = this.#content
    return {
      epoch: this.#epoch,
      heardS: this.#heardS,
      heardAtMs: this.#heardAtMs,
      needsConsent,
      nodes: [...nodes].map(([identity, tags]) => ({ identity, tags })),
      pairs: [...pairs].map((key) => key.split(' ') as [string, string]),
    }
  }

  restore({ epoch, heardS, heardAtMs, needsConsent, nodes, pairs }: StoredDirectory): void {
    this.#content = new Content(needsConsent)
    for (const { identity, tags } of nodes) this.#content.nodes.set(identity, tags)
    for (const [one, other] of pairs) this.#content.pairs.add(keyOf(one, other))
    this.#epoch = epoch
    this.#heardS = heardS
    this.#asOfS = heardS
    this.#heardAtMs = heardAtMs
  }

  /** Its clock is believed also where it went back: tickets carry the same one. */
  #believe({ epoch, atS }: DirectoryMessage): void {
    this.#epoch = epoch
    this.#shown.clear()
    this.handleBeat(atS)
  }

  #isCurrent(identity: string): boolean {
    if (this.#options.wallNowMs() - this.#heardAtMs > MAX_ABSENCE_MS) return false
    const issuedAtS = Math.max(this.#shown.get(identity) ?? 0, this.#heardS)
    return issuedAtS + TICKET_LIFETIME_S >= this.#asOfS
  }
}

/** The same either way round. */
function keyOf(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`
}
