/**
 * What relays hear of the network (control/directory.ts): the whole of it when they come, then whatever
 * changed. It learns of changes from the registry, whichever command made them.
 */

import {
  type DirectoryMessage,
  type DirectoryNode,
  type DirectoryPair,
  MAX_DIRECTORY_ENTRIES,
} from '../control/directory.js'
import type { Registry } from './registry.js'
import type { NodeRecord } from './store.js'

interface Changes {
  readonly changed: readonly DirectoryNode[]
  readonly removed: readonly string[]
  readonly agreed: readonly DirectoryPair[]
  readonly parted: readonly DirectoryPair[]
}

export class DirectoryFeed {
  readonly #registry: Registry
  readonly #wallNowMs: () => number
  readonly #tagNumbers = new Map<string, number>()
  /** Identity → tags, as relays know them. */
  readonly #told = new Map<string, string>()
  #toldEpoch = 0

  constructor(registry: Registry, wallNowMs: () => number) {
    this.#registry = registry
    this.#wallNowMs = wallNowMs
    for (const node of registry.nodes) if (isMember(node)) this.#told.set(node.identity, node.tags.join())
  }

  /** Seconds, by the hub's clock. */
  get atS(): number {
    return Math.floor(this.#wallNowMs() / 1000)
  }

  /** For a relay that came just now. */
  whole(): DirectoryMessage[] {
    const { network, consents } = this.#registry
    const changed = [...this.#registry.nodes].filter(isMember).map((node) => this.#entryOf(node))
    const agreed = network.needsConsent ? consents.mutual() : []
    const parts = this.#inParts({ changed, removed: [], agreed, parted: [] })
    const first = { isFirst: true, needsConsent: network.needsConsent }
    return parts.map((part, i) => ({
      ...part,
      ...(i === 0 && first),
      ...(i === parts.length - 1 && { isComplete: true }),
    }))
  }

  /** What changed since this was asked last. */
  takeChanges(): DirectoryMessage[] {
    const touched = this.#registry.takeTouched()
    const { consents } = this.#registry
    const changed: DirectoryNode[] = []
    const removed: string[] = []
    for (const identity of touched.nodes) {
      const node = this.#registry.find(identity)
      if (node === undefined || !isMember(node)) {
        this.#told.delete(identity)
        removed.push(identity)
      } else if (this.#told.get(identity) !== node.tags.join()) {
        this.#told.set(identity, node.tags.join())
        changed.push(this.#entryOf(node))
      }
    }
    const agreed = touched.pairs.filter(([one, other]) => consents.isMutual(one, other))
    const parted = touched.pairs.filter(([one, other]) => !consents.isMutual(one, other))
    // An epoch without changes is news as well: tickets of before it are no longer ahead of the directory.
    const isNews = changed.length + removed.length + agreed.length + parted.length > 0
    if (!isNews && this.#toldEpoch === this.#registry.revocations.epoch) return []
    this.#toldEpoch = this.#registry.revocations.epoch
    return this.#inParts({ changed, removed, agreed, parted })
  }

  #entryOf({ identity, tags }: NodeRecord): DirectoryNode {
    return { identity, tags: tags.map((tag) => this.#numberOf(tag)) }
  }

  #numberOf(tag: string): number {
    const known = this.#tagNumbers.get(tag)
    if (known !== undefined) return known
    const number = this.#tagNumbers.size
    this.#tagNumbers.set(tag, number)
    return number
  }

  /** One at least. What is taken away goes before what is given. */
  #inParts({ changed, removed, agreed, parted }: Changes): DirectoryMessage[] {
    const { epoch } = this.#registry.revocations
    const lists = [changed, removed, agreed, parted]
    const parts = Math.max(1, ...lists.map(({ length }) => Math.ceil(length / MAX_DIRECTORY_ENTRIES)))
    return Array.from({ length: parts }, (_, i) => {
      const [from, to] = [i * MAX_DIRECTORY_ENTRIES, (i + 1) * MAX_DIRECTORY_ENTRIES]
      return {
        type: 'directory' as const,
        epoch,
        atS: this.atS,
        changed: changed.slice(from, to),
        removed: removed.slice(from, to),
        agreed: agreed.slice(from, to),
        parted: parted.slice(from, to),
      }
    })
  }
}

function isMember({ state }: NodeRecord): boolean {
  return state === 'approved'
}
