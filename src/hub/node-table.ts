/** The nodes of a network as they are asked for: by identity, name and tunnel key. One node has each of these. */

import type { NodeRecord } from './store.js'

export class NodeTable {
  readonly #nodes = new Map<string, NodeRecord>()
  /** Name → identity. */
  readonly #names = new Map<string, string>()
  /** Tunnel key, current or previous → identity. */
  readonly #keyOwners = new Map<string, string>()

  get size(): number {
    return this.#nodes.size
  }

  get all(): Iterable<NodeRecord> {
    return this.#nodes.values()
  }

  get(identity: string): NodeRecord | undefined {
    return this.#nodes.get(identity)
  }

  isNamed(name: string): boolean {
    return this.#names.has(name)
  }

  named(name: string): NodeRecord | undefined {
    const identity = this.#names.get(name)
    return identity === undefined ? undefined : this.#nodes.get(identity)
  }

  ownerOf(tunnelKey: string): string | undefined {
    return this.#keyOwners.get(tunnelKey)
  }

  /** Adds or replaces by identity; one that is there already keeps its place among all. */
  put(node: NodeRecord): void {
    this.#unlist(node.identity)
    this.#nodes.set(node.identity, node)
    this.#names.set(node.name, node.identity)
    for (const key of keysOf(node)) this.#keyOwners.set(key, node.identity)
  }

  delete(identity: string): void {
    this.#unlist(identity)
    this.#nodes.delete(identity)
  }

  #unlist(identity: string): void {
    const node = this.#nodes.get(identity)
    if (node === undefined) return
    this.#names.delete(node.name)
    for (const key of keysOf(node)) this.#keyOwners.delete(key)
  }
}

function keysOf({ tunnelKey, previousTunnelKey }: NodeRecord): string[] {
  return [tunnelKey, previousTunnelKey].flatMap((signed) => signed?.key ?? [])
}

/** In what decides who may know whom. */
export function isOther(before: NodeRecord | undefined, { state, tags }: NodeRecord): boolean {
  return before?.state !== state || before.tags.join() !== tags.join()
}
