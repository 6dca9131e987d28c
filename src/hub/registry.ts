/**
 * Who is in the network: enrolment, names, leases, tokens. Every change goes to the store together with its
 * audit record; what is asked often is kept here beside it. Knows no connections.
 */

import { AppError, ERROR_CODES } from '../base/errors.js'
import { networkPrefix6 } from '../control/addresses.js'
import { type DirectoryPair, tagsAllow } from '../control/directory.js'
import { tryParseIdentity } from '../control/identity.js'
import type { Hello, Refusal } from '../control/messages.js'
import type { SignedTunnelKeys } from '../control/tunnel-key.js'
import { DNS_LABEL } from '../net/dns-label.js'
import { formatPrefix, type Prefix, tryParsePrefix } from '../net/prefix.js'
import type { Crypto, RandomBytes } from '../wireguard/crypto.js'
import { hasWaitedTooLong, mayWait } from './approval.js'
import { Consents } from './consents.js'
import { Leases } from './leases.js'
import { Revocations } from './revocations.js'
import type { AuditRecord, Departure, NetworkRecord, NodeRecord, RemovalRecord, Store } from './store.js'
import { requireLabel, Tokens, tokenId } from './tokens.js'

const MAX_NODES = 60_000
const MAX_TAGS = 16
/** Only a backup that is put back could change it. */
const REMOVED_RETRY_S = 600
/** An ephemeral node that has been away for this long is removed. */
const EPHEMERAL_ABSENCE_MS: number = 5 * 60_000

export interface RegistryOptions {
  readonly store: Store
  readonly crypto: Crypto
  readonly random: RandomBytes
  readonly wallNowMs: () => number
}

/** What one node may know of another: how to reach it, or that there is one who could be asked. */
export type Knowledge = 'all' | 'name' | 'nothing'

export type Enrolment = { readonly node: NodeRecord; readonly isNew: boolean } | { readonly refusal: Refusal }

export interface NetworkRequest {
  readonly name: string
  readonly needsApproval: boolean
  readonly needsConsent: boolean
  /** IPv4 addresses of its nodes. */
  readonly range: Prefix
}

/** Makes the network of a new store. Throws AppError for a name that cannot be part of a DNS name. */
export function createNetwork(options: RegistryOptions, request: NetworkRequest): NetworkRecord {
  const { name, needsApproval, needsConsent, range } = request
  requireNetworkName(name)
  const random = options.random(5)
  const network: NetworkRecord = {
    name,
    prefix4: formatPrefix(range),
    prefix6: formatPrefix(networkPrefix6(random)),
    needsApproval,
    needsConsent,
  }
  options.store.transaction(() => {
    options.store.setNetwork(network)
    options.store.appendAudit({
      atMs: options.wallNowMs(),
      event: 'network.created',
      subject: '',
      detail: name,
    })
  })
  return network
}

/** Throws AppError. */
export function requireNetworkName(name: string): void {
  if (DNS_LABEL.test(name)) return
  throw new AppError(ERROR_CODES.usage, `"${name}" cannot be the name of a network`, {
    hint: 'use up to 63 lower case letters, digits and dashes',
  })
}

export class Registry {
  readonly network: NetworkRecord
  readonly consents: Consents
  readonly revocations: Revocations
  readonly tokens: Tokens
  readonly #options: RegistryOptions
  readonly #nodes = new Map<string, NodeRecord>()
  readonly #names = new Set<string>()
  readonly #leases: Leases
  /** Tunnel key, current or previous → identity. */
  readonly #keyOwners = new Map<string, string>()
  /** Identities of nodes that came, changed or went since `takeTouched`. */
  #touched = new Set<string>()

  /** The store holds a network. */
  constructor(options: RegistryOptions) {
    this.#options = options
    const network = options.store.network()
    const pool = network && tryParsePrefix(network.prefix4)
    if (network === undefined || pool === undefined) throw new RangeError('the store holds no network')
    this.network = network
    this.#leases = new Leases(pool)
    this.revocations = new Revocations(options.store, options.wallNowMs)
    this.consents = new Consents(options.store, options.wallNowMs, this.revocations)
    this.tokens = new Tokens(options)
    for (const node of options.store.nodes()) this.#remember(node)
  }

  get nodes(): Iterable<NodeRecord> {
    return this.#nodes.values()
  }

  get nodeCount(): number {
    return this.#nodes.size
  }

  find(identity: string): NodeRecord | undefined {
    return this.#nodes.get(identity)
  }

  /** The same both ways. */
  knowledgeOf(one: NodeRecord, other: NodeRecord): Knowledge {
    if (!isAllowed(one, other)) return 'nothing'
    const isEnough = !this.network.needsConsent || this.consents.isMutual(one.identity, other.identity)
    return isEnough ? 'all' : 'name'
  }

  /** What relays may have to hear of, since this was asked last. */
  takeTouched(): { readonly nodes: Iterable<string>; readonly pairs: readonly DirectoryPair[] } {
    const nodes = this.#touched
    this.#touched = new Set()
    return { nodes, pairs: this.consents.takeTouched() }
  }

  audit(limit: number): readonly AuditRecord[] {
    return this.#options.store.audit(limit)
  }

  backup(path: string): void {
    this.#options.store.backup(path)
  }

  // --- enrolment -------------------------------------------------------------------------------

  /** `hello`: its signatures are checked already. */
  enrol(hello: Hello): Enrolment {
    const known = this.#nodes.get(hello.identity)
    if (known !== undefined) {
      const { tunnelKey, previousTunnelKey } = hello
      const isSame =
        known.tunnelKey.key === tunnelKey.key && known.previousTunnelKey?.key === previousTunnelKey?.key
      const node = {
        ...known,
        tunnelKey,
        previousTunnelKey,
        lastSeenMs: this.#options.wallNowMs(),
      }
      if (isSame) this.#remember(node)
      else this.#save(node, 'node.key_changed')
      return { node, isNew: false }
    }
    if (hello.secret === undefined) {
      const removal = this.revocations.find(hello.identity)
      return removal === undefined ? NOT_KNOWN : { refusal: removedRefusal(removal) }
    }
    const token = this.tokens.tryFind(hello.secret)
    const removal = this.revocations.find(hello.identity)
    if (token === undefined && removal?.event === 'node.rejected') return { refusal: removedRefusal(removal) }
    if (token === undefined) {
      return refuse(
        'token',
        'this token is not valid: it is unknown, used up, taken back or expired',
        'ask for a new one',
      )
    }
    const state = this.network.needsApproval ? 'pending' : 'approved'
    if (state === 'pending' && !mayWait(this.#nodes.values(), token)) {
      return refuse(
        'busy',
        'too many nodes wait for approval already',
        'on the hub, approve or reject some: overlay hub nodes',
      )
    }
    const wanted = token.nodeName === '' ? (hello.name ?? '') : token.nodeName
    const name = this.#freeName(wanted, hello.name !== undefined && token.nodeName === '')
    if (name === undefined) {
      const fault = DNS_LABEL.test(wanted) ? 'is in use already' : 'cannot be the name of a node'
      return refuse('name', `"${wanted}" ${fault}`, 'choose another with --name')
    }
    const v4 = this.#tryLease(hello)
    if (v4 === undefined) {
      const hint = `the network's addresses are ${this.network.prefix4}: something on that machine uses them too`
      return refuse('address', 'there is no IPv4 address left that does not collide', hint)
    }
    const nowMs = this.#options.wallNowMs()
    const node: NodeRecord = {
      identity: hello.identity,
      name,
      v4,
      tunnelKey: hello.tunnelKey,
      previousTunnelKey: hello.previousTunnelKey,
      tags: token.tags,
      state,
      tokenId: tokenId(token),
      isEphemeral: token.isEphemeral,
      createdAtMs: nowMs,
      lastSeenMs: nowMs,
    }
    this.#options.store.transaction(() => {
      this.tokens.spend(token)
      this.#options.store.deleteRemoval(node.identity)
      this.#save(node, 'node.enrolled')
    })
    this.revocations.forget(node.identity)
    return { node, isNew: true }
  }

  /** Anybody can sign a key of somebody else, and others would take one of the two for an impostor. */
  isKeyOfAnother(identity: string, { tunnelKey, previousTunnelKey }: SignedTunnelKeys): boolean {
    return [tunnelKey, previousTunnelKey].some((signed) => {
      const owner = signed && this.#keyOwners.get(signed.key)
      return owner !== undefined && owner !== identity
    })
  }

  setTunnelKeys(identity: string, { tunnelKey, previousTunnelKey }: SignedTunnelKeys): void {
    const node = this.#nodes.get(identity)
    if (node !== undefined) this.#save({ ...node, tunnelKey, previousTunnelKey }, 'node.key_changed')
  }

  /** For the record alone. */
  note(node: NodeRecord, event: 'node.troubled', detail: string): void {
    this.#audit(event, node.name, detail)
  }

  /** Kept in memory alone, and with the node when it is saved next: it is not worth a write each time. */
  seen(identity: string): void {
    const node = this.#nodes.get(identity)
    if (node !== undefined) this.#remember({ ...node, lastSeenMs: this.#options.wallNowMs() })
  }

  /** When a node goes; it makes what `seen` gathered last. */
  saveSeen(identity: string): void {
    const node = this.#nodes.get(identity)
    if (node !== undefined) this.#options.store.putNode(node)
  }

  /** Ephemeral nodes that have been away too long, and nodes that nobody approved in time. */
  expired(isOnline: (identity: string) => boolean): NodeRecord[] {
    const nowMs = this.#options.wallNowMs()
    const beforeMs = nowMs - EPHEMERAL_ABSENCE_MS
    return [...this.#nodes.values()].filter(
      (node) =>
        hasWaitedTooLong(node, nowMs) ||
        (node.isEphemeral && node.lastSeenMs < beforeMs && !isOnline(node.identity)),
    )
  }

  // --- administration --------------------------------------------------------------------------

  /** By name or identity. Throws AppError. */
  require(nameOrIdentity: string): NodeRecord {
    const node = this.#nodes.get(nameOrIdentity) ?? this.#byName(nameOrIdentity)
    if (node !== undefined) return node
    throw new AppError(ERROR_CODES.usage, `there is no node ${nameOrIdentity}`, {
      hint: 'see all of them: overlay hub nodes',
    })
  }

  remove(node: NodeRecord, event: Departure): void {
    this.#nodes.delete(node.identity)
    this.#names.delete(node.name)
    this.#leases.delete(node.v4)
    for (const key of keysOf(node)) this.#keyOwners.delete(key)
    const removal = this.revocations.removalOf(node, event)
    this.#options.store.transaction(() => {
      this.#options.store.deleteNode(node.identity)
      this.revocations.write(removal, this.#options.store)
      this.#audit(event, node.name, node.identity)
    })
    this.revocations.remember(removal)
    this.consents.forget(node.identity)
    this.#touched.add(node.identity)
  }

  rename(node: NodeRecord, name: string): NodeRecord {
    if (this.#freeName(name, true) !== name) {
      requireLabel(name)
      throw new AppError(ERROR_CODES.usage, `"${name}" is in use already`, {
        hint: 'choose another; see: overlay hub nodes',
      })
    }
    const renamed = { ...node, name }
    this.#save(renamed, 'node.renamed', `from ${node.name}`)
    return renamed
  }

  approve(node: NodeRecord): NodeRecord {
    const approved = { ...node, state: 'approved' as const }
    this.#save(approved, 'node.approved')
    return approved
  }

  /** Throws AppError for what cannot be a tag, or too many. */
  setTags(node: NodeRecord, tags: readonly string[]): NodeRecord {
    for (const tag of tags) requireLabel(tag)
    if (tags.length > MAX_TAGS) {
      throw new AppError(ERROR_CODES.usage, `${node.name} would have more than ${MAX_TAGS} tags`, {
        hint: `take one away: overlay hub tag ${node.name} -TAG`,
      })
    }
    const tagged = { ...node, tags }
    this.#save(tagged, 'node.tagged', `${describeTags(node.tags)} -> ${describeTags(tags)}`)
    return tagged
  }

  // --- inside ----------------------------------------------------------------------------------

  /** A taken name is given with a number behind it, unless the node insists on it. */
  #freeName(wanted: string, isExact: boolean): string | undefined {
    const name = wanted === '' ? 'node' : wanted
    if (!DNS_LABEL.test(name)) return undefined
    if (!this.#names.has(name)) return name
    if (isExact) return undefined
    for (let number = 2; number <= MAX_NODES; number++) {
      const numbered = `${name.slice(0, 57)}-${number}`
      if (!this.#names.has(numbered)) return numbered
    }
    return undefined
  }

  #tryLease(hello: Hello): string | undefined {
    if (this.#nodes.size >= MAX_NODES) return undefined
    const identity = tryParseIdentity(hello.identity)
    if (identity === undefined) return undefined
    const foreign = hello.localPrefixes.flatMap((text) => tryParsePrefix(text) ?? [])
    return this.#leases.tryFind(identity, foreign)
  }

  #byName(name: string): NodeRecord | undefined {
    for (const node of this.#nodes.values()) if (node.name === name) return node
    return undefined
  }

  #save(node: NodeRecord, event: string, detail = ''): void {
    const before = this.#nodes.get(node.identity)
    const isOther = before?.state !== node.state || before.tags.join() !== node.tags.join()
    this.#options.store.transaction(() => {
      this.#options.store.putNode(node)
      // Tags decide who may know whom: what they took away must not be had by an older ticket or directory.
      if (isOther) this.revocations.advance(this.#options.store)
      this.#audit(event, node.name, detail)
    })
    if (isOther) this.#touched.add(node.identity)
    this.#remember(node)
  }

  #remember(node: NodeRecord): void {
    const before = this.#nodes.get(node.identity)
    for (const key of keysOf(before)) this.#keyOwners.delete(key)
    for (const key of keysOf(node)) this.#keyOwners.set(key, node.identity)
    if (before !== undefined && before.name !== node.name) this.#names.delete(before.name)
    this.#nodes.set(node.identity, node)
    this.#names.add(node.name)
    this.#leases.add(node.v4)
  }

  #audit(event: string, subject: string, detail: string): void {
    this.#options.store.appendAudit({ atMs: this.#options.wallNowMs(), event, subject, detail })
  }
}

/** Who waits for approval is nobody yet. */
function isAllowed(one: NodeRecord, other: NodeRecord): boolean {
  return one.state === 'approved' && other.state === 'approved' && tagsAllow(one.tags, other.tags)
}

/** What a node hears that is none any more, then and whenever it comes back. */
export function removedRefusal({ name, event = 'node.removed', atMs }: RemovalRecord): Refusal {
  const message = `${name} ${FAREWELLS[event]}`
  const retryAfterS = REMOVED_RETRY_S
  if (event === 'node.rejected') {
    const hint = 'ask whoever runs the hub for a new token'
    return { type: 'refused', code: 'rejected', message, hint, retryAfterS }
  }
  const hint = 'to come back, join with a new token'
  return { type: 'refused', code: 'removed', message, hint, retryAfterS, removedAtS: Math.floor(atMs / 1000) }
}

const FAREWELLS: Readonly<Record<Departure, string>> = {
  'node.removed': 'was removed from this network',
  'node.left': 'has left this network',
  'node.expired': 'was forgotten: it was away, or not approved, for too long',
  'node.rejected': 'was not let into this network',
}

const NOT_KNOWN: Enrolment = refuse(
  'unknown',
  'the hub does not know this node',
  'if its store was restored from an older backup: join with a new token',
)

function describeTags(tags: readonly string[]): string {
  return tags.length === 0 ? 'none' : tags.join(',')
}

function refuse(code: Refusal['code'], message: string, hint: string): { readonly refusal: Refusal } {
  return { refusal: { type: 'refused', code, message, hint } }
}

function keysOf(node: NodeRecord | undefined): string[] {
  return [node?.tunnelKey, node?.previousTunnelKey].flatMap((signed) => signed?.key ?? [])
}
