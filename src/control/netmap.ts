/**
 * A node's view of its network: what the hub said, as far as it is to be believed.
 *
 * The hub may deny, but not impersonate. So an entry counts only if its tunnel key is signed by its
 * identity and no other node's, and its IPv6 address follows from it; and a name or an IPv4 address that belonged to one identity
 * is not taken for another until a person says so. Where consent is asked for, it counts only if this node
 * gave its own, whatever the hub says of that. What was refused stays on record with its reason.
 */

import { formatIp, tryParseIp } from '../net/ip.js'
import { type Prefix, prefixContains, tryParsePrefix } from '../net/prefix.js'
import type { Crypto } from '../wireguard/crypto.js'
import { formatKeyBase64, type PublicKey } from '../wireguard/keys.js'
import { addressOf } from './addresses.js'
import { tryParseIdentity } from './identity.js'
import type { NodeInfo, NodesMessage, RelayRtts } from './messages.js'
import type { Pins } from './pins.js'
import { CLOCK_SKEW_S, verifyTunnelKey } from './tunnel-key.js'

/** Another node that may be talked to. */
export interface NetmapNode {
  /** Base64. */
  readonly identity: string
  readonly identityKey: Uint8Array
  readonly name: string
  readonly v4: Prefix
  readonly v6: Prefix
  readonly tunnelKey: PublicKey
  readonly relayRtts: RelayRtts
  /** Another that it may still use. */
  readonly previousTunnelKey: PublicKey | undefined
  readonly isOnline: boolean
}

export interface NetmapOptions {
  readonly crypto: Crypto
  readonly prefix4: Prefix
  readonly prefix6: Prefix
  /** Kept by the caller, through restarts. */
  readonly pins: Pins
  /** Of this node, base64. */
  readonly ownIdentity: string
  readonly wallNowMs: () => number
  /** This node said yes to it, or the network does not ask for that. */
  readonly isWelcome: (identity: string) => boolean
}

/** What became of a change. */
export interface NetmapChange {
  /** Added, or different from before. */
  readonly changed: readonly NetmapNode[]
  readonly removed: readonly NetmapNode[]
  /** Newly refused, in words. */
  readonly faults: readonly string[]
}

export interface RefusedNode {
  readonly identity: string
  readonly name: string
  /** In words. */
  readonly fault: string
}

interface Entry {
  readonly info: NodeInfo
  readonly node: NetmapNode
}

/** Bound on what one hub can make a node remember. */
const MAX_NODES = 65_535

export class Netmap {
  readonly #options: NetmapOptions
  readonly #entries = new Map<string, Entry>()
  /** Tunnel key, current or previous → identity. Anybody can sign a key of somebody else. */
  readonly #keyOwners = new Map<string, string>()
  readonly #refused = new Map<string, { readonly info: NodeInfo; readonly fault: string }>()
  /** Seen since the last welcome; undefined once the list was complete. */
  #listed: Set<string> | undefined

  constructor(options: NetmapOptions) {
    this.#options = options
  }

  get nodes(): NetmapNode[] {
    return [...this.#entries.values()].map(({ node }) => node)
  }

  find(identity: string): NetmapNode | undefined {
    return this.#entries.get(identity)?.node
  }

  /** What was refused and why, by name. */
  get faults(): ReadonlyMap<string, string> {
    return new Map([...this.#refused.values()].map(({ info, fault }) => [info.name, fault]))
  }

  /** The same, as far as a person needs to know. */
  get refused(): RefusedNode[] {
    return [...this.#refused.values()].map(({ info: { identity, name }, fault }) => ({
      identity,
      name,
      fault,
    }))
  }

  /** Name and IPv4 address that one which was refused asks for. */
  claimsOf(identity: string): string[] {
    const info = this.#refused.get(identity)?.info
    return info === undefined ? [] : [info.name, info.v4]
  }

  /** The hub begins to list all nodes. */
  handleWelcome(): void {
    this.#listed = new Set()
  }

  apply(message: NodesMessage): NetmapChange {
    const changed: NetmapNode[] = []
    const removed: NetmapNode[] = []
    const faults: string[] = []
    for (const identity of message.removed) this.#remove(identity, removed)
    for (const info of message.changed) {
      if (info.identity === this.#options.ownIdentity) continue
      this.#listed?.add(info.identity)
      const fault = this.#consider(info, changed)
      if (fault === undefined) {
        this.#refused.delete(info.identity)
        continue
      }
      if (this.#refused.get(info.identity)?.fault !== fault) faults.push(fault)
      if (this.#refused.size < MAX_NODES) this.#refused.set(info.identity, { info, fault })
    }
    if (message.isComplete === true && this.#listed !== undefined) {
      const listed = this.#listed
      this.#listed = undefined
      for (const identity of [...this.#entries.keys()])
        if (!listed.has(identity)) this.#remove(identity, removed)
    }
    return { changed, removed, faults }
  }

  /** From time to time: a hub that is out of reach does not tell that a previous key is none any more. */
  expirePreviousKeys(): NetmapChange {
    const changed: NetmapNode[] = []
    for (const { info, node } of [...this.#entries.values()]) {
      if (node.previousTunnelKey === undefined) continue
      if (this.#previousKeyOf(info, node.identityKey) !== undefined) continue
      const { previousTunnelKey: _, ...rest } = info
      const kept = { ...node, previousTunnelKey: undefined }
      this.#put({ info: rest, node: kept })
      changed.push(kept)
    }
    return { changed, removed: [], faults: [] }
  }

  /** A person vouches for one that was refused. Undefined if it was not. */
  trust(identity: string): NetmapChange | undefined {
    const refused = this.#refused.get(identity)
    if (refused === undefined) return undefined
    const { info } = refused
    this.#options.pins.give([info.name, info.v4], identity)
    const removed: NetmapNode[] = []
    for (const { node } of [...this.#entries.values()]) {
      if (node.identity === identity) continue
      if (node.name === info.name || formatIp(node.v4.address) === info.v4) {
        this.#remove(node.identity, removed)
      }
    }
    return { ...this.apply({ type: 'nodes', changed: [info], removed: [] }), removed }
  }

  /** A person vouches that this name is that of an identity which the hub has not brought yet. */
  pin(name: string, identity: string): NetmapChange {
    this.#options.pins.give([name], identity)
    const removed: NetmapNode[] = []
    for (const { node } of [...this.#entries.values()]) {
      if (node.name === name && node.identity !== identity) this.#remove(node.identity, removed)
    }
    return { changed: [], removed, faults: [] }
  }

  // --- storing ---------------------------------------------------------------------------------

  /** To be kept through restarts; holds no secret. */
  toStored(): StoredNetmap {
    return { nodes: [...this.#entries.values()].map(({ info }) => info) }
  }

  /** `stored`: checked for its form only. */
  restore(stored: StoredNetmap): NetmapChange {
    const nodes = stored.nodes.map((info) => ({ ...info, isOnline: false }))
    return this.apply({ type: 'nodes', changed: nodes, removed: [] })
  }

  // --- inside ----------------------------------------------------------------------------------

  /** Gives why it is refused. */
  #consider(info: NodeInfo, changed: NetmapNode[]): string | undefined {
    const before = this.#entries.get(info.identity)
    if (before === undefined && this.#entries.size >= MAX_NODES) return 'there are too many nodes'
    const { prefix4, wallNowMs } = this.#options
    const name = `the hub's entry for ${info.name} is refused: `
    const identityKey = tryParseIdentity(info.identity)
    if (identityKey === undefined) return `${name}its identity is no key`
    if (!this.#options.isWelcome(info.identity)) {
      return `${name}this node has not said yes to it; if you want to reach it, type: overlay trust ${info.name}`
    }
    const verified = verifyTunnelKey(identityKey, info.tunnelKey, wallNowMs())
    if ('fault' in verified) return name + verified.fault
    const { pins } = this.#options
    if (pins.isRolledBack(info.identity, info.tunnelKey) || isSameNumber(info, before?.info))
      return `${name}its tunnel key is older than one that it had`
    if (this.#isOthers(verified.key, info.identity)) return `${name}its tunnel key is that of another node`
    const v6 = addressOf(this.#options.crypto, this.#options.prefix6, identityKey)
    if (formatIp(v6) !== info.v6) return `${name}its IPv6 address is not that of its identity`
    const v4 = tryParseIp(info.v4)
    if (v4?.family !== 4 || !prefixContains(prefix4, v4))
      return `${name}its IPv4 address is not of this network`
    for (const [what, pinned] of [
      ['name', info.name],
      ['IPv4 address', info.v4],
    ] as const) {
      const owner = pins.ownerOf(pinned)
      if (owner !== undefined && owner !== info.identity) {
        return `${name}its ${what} belonged to another identity; if it was set up anew, type: overlay trust ${info.name}`
      }
    }
    if (!pins.tryPin(info.identity, [info.name, info.v4], info.tunnelKey, wallNowMs() / 1000 - CLOCK_SKEW_S))
      return `${name}there is no room to remember it`
    const node: NetmapNode = {
      identity: info.identity,
      identityKey,
      name: info.name,
      v4: { address: v4, bits: 32 },
      v6: { address: v6, bits: 128 },
      tunnelKey: verified.key,
      relayRtts: info.relayRtts,
      previousTunnelKey: this.#previousKeyOf(info, identityKey),
      isOnline: info.isOnline,
    }
    this.#put({ info, node })
    if (before === undefined || JSON.stringify(before.info) !== JSON.stringify(info)) changed.push(node)
    return undefined
  }

  #put(entry: Entry): void {
    const { identity } = entry.node
    this.#disown(this.#entries.get(identity)?.node)
    this.#entries.set(identity, entry)
    for (const key of keysOf(entry.node)) this.#keyOwners.set(key, identity)
  }

  #disown(node: NetmapNode | undefined): void {
    if (node !== undefined) for (const key of keysOf(node)) this.#keyOwners.delete(key)
  }

  #isOthers(key: PublicKey, identity: string): boolean {
    const owner = this.#keyOwners.get(formatKeyBase64(key))
    return owner !== undefined && owner !== identity
  }

  /** One that is not authentic or has expired counts as none: the current one is what a node is known by. */
  #previousKeyOf(info: NodeInfo, identityKey: Uint8Array): PublicKey | undefined {
    const { identity, tunnelKey, previousTunnelKey } = info
    if (previousTunnelKey === undefined || previousTunnelKey.number !== tunnelKey.number) return undefined
    const verified = verifyTunnelKey(identityKey, previousTunnelKey, this.#options.wallNowMs(), 'previous')
    return 'key' in verified && !this.#isOthers(verified.key, identity) ? verified.key : undefined
  }

  #remove(identity: string, removed: NetmapNode[]): void {
    const entry = this.#entries.get(identity)
    this.#refused.delete(identity)
    if (entry === undefined) return
    this.#entries.delete(identity)
    this.#disown(entry.node)
    removed.push(entry.node)
  }
}

function keysOf({ tunnelKey, previousTunnelKey }: NetmapNode): string[] {
  return [tunnelKey, previousTunnelKey].flatMap((key) => (key === undefined ? [] : formatKeyBase64(key)))
}

/** It has the same tunnel key, or one that follows on it: what was agreed under it goes on. */
export function isSuccessor(before: NetmapNode, after: NetmapNode): boolean {
  return keysOf(after).includes(formatKeyBase64(before.tunnelKey))
}

export interface StoredNetmap {
  readonly nodes: readonly NodeInfo[]
}

/** Throws RangeError: the hub's words were checked before. */
export function requirePrefix(text: string): Prefix {
  const prefix = tryParsePrefix(text)
  if (prefix === undefined) throw new RangeError('no prefix')
  return prefix
}

/** Another key with the number of the one before: no node signs two. */
function isSameNumber({ tunnelKey }: NodeInfo, before: NodeInfo | undefined): boolean {
  return (
    before !== undefined &&
    tunnelKey.number === before.tunnelKey.number &&
    tunnelKey.key !== before.tunnelKey.key
  )
}
