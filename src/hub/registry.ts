/**
 * Who is in the network: enrolment, names, leases, tokens. Every change goes to the store together with its
 * audit record; what is asked often is kept here beside it. Knows no connections.
 */

import { AppError, ERROR_CODES } from '../base/errors.js'
import { type DirectoryPair, tagsAllow } from '../control/directory.js'
import { tryParseIdentity } from '../control/identity.js'
import type { Hello } from '../control/messages.js'
import type { SignedTunnelKeys } from '../control/tunnel-key.js'
import { DNS_LABEL } from '../net/dns-label.js'
import { tryParsePrefix } from '../net/prefix.js'
import type { Crypto, RandomBytes } from '../wireguard/crypto.js'
import { hasWaitedTooLong, mayWait } from './approval.js'
import { Consents } from './consents.js'
import { Leases } from './leases.js'
import { isOther, NodeTable } from './node-table.js'
import { NOT_KNOWN, type Refused, refuse, removedRefusal } from './refusals.js'
import { Revocations } from './revocations.js'
import type { AuditRecord, Departure, NetworkRecord, NodeRecord, Store } from './store.js'
import { StoreError } from './store-error.js'
import { type StoreFailure, StoreWriter } from './store-writer.js'
import { requireLabel, Tokens, tokenId } from './tokens.js'
import { UnsavedNodes } from './unsaved-nodes.js'

const MAX_NODES = 60_000
const MAX_TAGS = 16
/** An ephemeral node that has been away for this long is removed. */
const EPHEMERAL_ABSENCE_MS: number = 5 * 60_000
/** Of `flush`, so that everybody else waits for milliseconds only. */
const MAX_NODES_PER_FLUSH = 500

export interface RegistryOptions {
  readonly store: Store
  readonly crypto: Crypto
  readonly random: RandomBytes
  readonly wallNowMs: () => number
  /** The store fails from now on, or works again: undefined. */
  readonly onStoreFailure?: (failure: StoreFailure | undefined) => void
}

const LEAVE_NAME_OUT = 'leave --name out; or ask for a token that names no node: overlay hub token create'

/** What one node may know of another: how to reach it, or that there is one who could be asked. */
export type Knowledge = 'all' | 'name' | 'nothing'

export type Enrolment = { readonly node: NodeRecord; readonly isNew: boolean } | Refused

export class Registry {
  readonly network: NetworkRecord
  readonly consents: Consents
  readonly revocations: Revocations
  readonly tokens: Tokens
  readonly #options: RegistryOptions
  readonly #writer: StoreWriter
  readonly #startMs: number
  readonly #nodes = new NodeTable()
  readonly #unsaved = new UnsavedNodes()
  readonly #leases: Leases
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
    const { store, wallNowMs, onStoreFailure: onFailure } = options
    this.#startMs = wallNowMs()
    this.#writer = new StoreWriter({ store, wallNowMs, onFailure })
    this.revocations = new Revocations(store, wallNowMs)
    this.consents = new Consents(store, this.#writer, this.revocations, wallNowMs)
    this.tokens = new Tokens({ ...options, writer: this.#writer })
    for (const node of store.nodes()) this.#rememberStored(node)
    this.#touched.clear()
  }

  /** Undefined while the store works. */
  get storeFailure(): StoreFailure | undefined {
    return this.#writer.failure
  }

  /** Nodes of which memory knows more than the store. */
  get unsavedCount(): number {
    return this.#unsaved.size
  }

  get nodes(): Iterable<NodeRecord> {
    return this.#nodes.all
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

  // --- enrolment -------------------------------------------------------------------------------

  /** `hello`: its signatures are checked already. Throws StoreError for a node that is new; it is not enrolled then. */
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
      if (isSame) this.#rememberSeen(node)
      else this.#saveKeys(node)
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
    if (state === 'pending' && !mayWait(this.#nodes.all, token)) {
      return refuse(
        'busy',
        'too many nodes wait for approval already',
        'on the hub, approve or reject some: overlay hub nodes',
      )
    }
    const asked = hello.isNameAsked === true ? hello.name : undefined
    if (token.nodeName !== '' && asked !== undefined && asked !== token.nodeName) {
      const fault = `this token is for a node named "${token.nodeName}", and not "${asked}"`
      return refuse('name', fault, LEAVE_NAME_OUT)
    }
    const wanted = token.nodeName === '' ? (hello.name ?? '') : token.nodeName
    const name = this.#freeName(wanted, asked !== undefined)
    if (name === undefined) {
      const isTaken = DNS_LABEL.test(wanted)
      const fault = isTaken ? `the name "${wanted}" is taken` : `"${wanted}" cannot be the name of a node`
      const hint = token.nodeName === '' ? 'choose another with --name' : LEAVE_NAME_OUT
      return refuse('name', fault, hint)
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
    this.#writer.write((store) => {
      this.tokens.spend(token, store)
      store.deleteRemoval(node.identity)
      this.#put(node, 'node.enrolled', store)
    })
    this.revocations.forget(node.identity)
    this.#rememberStored(node)
    return { node, isNew: true }
  }

  /** Anybody can sign a key of somebody else, and others would take one of the two for an impostor. */
  isKeyOfAnother(identity: string, { tunnelKey, previousTunnelKey }: SignedTunnelKeys): boolean {
    return [tunnelKey, previousTunnelKey].some((signed) => {
      const owner = signed && this.#nodes.ownerOf(signed.key)
      return owner !== undefined && owner !== identity
    })
  }

  setTunnelKeys(identity: string, { tunnelKey, previousTunnelKey }: SignedTunnelKeys): void {
    const node = this.#nodes.get(identity)
    if (node !== undefined) this.#saveKeys({ ...node, tunnelKey, previousTunnelKey })
  }

  /** For the record alone: a store that fails does not have it. */
  note(
    subject: string,
    event: 'node.troubled' | 'hub.keys_changed' | 'hub.keys_retired' | 'hub.started',
    detail: string,
  ): void {
    try {
      this.#writer.write((store) => store.appendAudit(this.#record(event, subject, detail)))
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
    }
  }

  /** Kept in memory alone: it is not worth a write each time. `isLeaving`: the next `flush` writes it. */
  seen(identity: string, isLeaving = false): void {
    const node = this.#nodes.get(identity)
    if (node === undefined) return
    this.#rememberSeen({ ...node, lastSeenMs: this.#options.wallNowMs() })
    if (isLeaving) this.#unsaved.add(identity)
  }

  /**
   * Writes a part of what memory knows and the store does not. From time to time; it is also how a store that
   * failed is found to work again. False if it still fails.
   */
  flush(): boolean {
    if (this.#unsaved.size === 0 && this.storeFailure === undefined) return true
    const nodes = this.#unsaved.first(MAX_NODES_PER_FLUSH).flatMap((identity) => this.find(identity) ?? [])
    try {
      this.#writer.write((store) => {
        for (const node of nodes) store.putNode(node)
      })
    } catch (error) {
      if (error instanceof StoreError) return false
      throw error
    }
    for (const node of nodes) this.#rememberStored(node)
    return true
  }

  /**
   * Ephemeral nodes that have been away too long, and nodes that nobody approved in time. Those of before the
   * hub's start get as long to come back.
   */
  expired(isOnline: (identity: string) => boolean): NodeRecord[] {
    const nowMs = this.#options.wallNowMs()
    const beforeMs = nowMs - EPHEMERAL_ABSENCE_MS
    if (this.#startMs > beforeMs) return []
    return [...this.#nodes.all].filter(
      (node) =>
        hasWaitedTooLong(node, nowMs) ||
        (node.isEphemeral && node.lastSeenMs < beforeMs && !isOnline(node.identity)),
    )
  }

  // --- administration --------------------------------------------------------------------------

  /** By name or identity. Throws AppError. */
  require(nameOrIdentity: string): NodeRecord {
    const node = this.#nodes.get(nameOrIdentity) ?? this.#nodes.named(nameOrIdentity)
    if (node !== undefined) return node
    throw new AppError(ERROR_CODES.noSuchNode, `there is no node ${nameOrIdentity}`, {
      hint: 'see all of them: overlay hub nodes',
    })
  }

  /** Throws StoreError; then the node is still part of the network. */
  remove(node: NodeRecord, event: Departure): void {
    const { identity, name } = node
    const removal = this.revocations.removalOf(node, event)
    this.#writer.write((store) => {
      store.deleteNode(identity)
      this.revocations.write(removal, store)
      store.appendAudit(this.#record(event, name, identity))
    })
    this.#forget(node)
    this.revocations.remember(removal)
    this.consents.forget(identity)
    this.#touched.add(identity)
  }

  rename(node: NodeRecord, name: string): NodeRecord {
    if (this.#freeName(name, true) !== name) {
      requireLabel(name, 'name')
      throw new AppError(ERROR_CODES.nameTaken, `"${name}" is in use already`, {
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
    for (const tag of tags) requireLabel(tag, 'add')
    if (tags.length > MAX_TAGS) {
      throw new AppError(ERROR_CODES.limit, `${node.name} would have more than ${MAX_TAGS} tags`, {
        hint: `take one away: overlay hub tag ${node.name} -TAG`,
      })
    }
    const tagged = { ...node, tags }
    this.#save(tagged, 'node.tagged', `${describeTags(node.tags)} -> ${describeTags(tags)}`)
    return tagged
  }

  // --- inside ----------------------------------------------------------------------------------

  /** A taken name is given with a number behind it, unless a person asked for that very name. */
  #freeName(wanted: string, isExact: boolean): string | undefined {
    const name = wanted === '' ? 'node' : wanted
    if (!DNS_LABEL.test(name)) return undefined
    if (!this.#nodes.isNamed(name)) return name
    if (isExact) return undefined
    for (let number = 2; number <= MAX_NODES; number++) {
      const numbered = `${name.slice(0, 57)}-${number}`
      if (!this.#nodes.isNamed(numbered)) return numbered
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

  #save(node: NodeRecord, event: string, detail = ''): void {
    this.#writer.write((store) => this.#put(node, event, store, detail))
    this.#rememberStored(node)
  }

  #put(node: NodeRecord, event: string, store: Store, detail = ''): void {
    store.putNode(node)
    // Tags decide who may know whom: what they took away must not be had by an older ticket or directory.
    if (isOther(this.#nodes.get(node.identity), node)) this.revocations.advance(store)
    store.appendAudit(this.#record(event, node.name, detail))
  }

  /**
   * Keys are the node's own decision, signed by it and said again in every hello: the one change that goes on
   * from memory where the store fails, because refusing it would cut the node off from its peers.
   */
  #saveKeys(node: NodeRecord): void {
    try {
      this.#save(node, 'node.key_changed')
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      this.#remember(node)
      this.#unsaved.add(node.identity)
    }
  }

  #rememberStored(node: NodeRecord): void {
    if (isOther(this.#nodes.get(node.identity), node)) this.#touched.add(node.identity)
    this.#remember(node)
    this.#unsaved.stored(node)
  }

  #rememberSeen(node: NodeRecord): void {
    this.#remember(node)
    this.#unsaved.seen(node)
  }

  #remember(node: NodeRecord): void {
    this.#nodes.put(node)
    this.#leases.add(node.v4)
  }

  #forget({ identity, v4 }: NodeRecord): void {
    this.#nodes.delete(identity)
    this.#leases.delete(v4)
    this.#unsaved.forget(identity)
  }

  #record(event: string, subject: string, detail = ''): AuditRecord {
    return { atMs: this.#options.wallNowMs(), event, subject, detail }
  }
}

/** Who waits for approval is nobody yet. */
function isAllowed(one: NodeRecord, other: NodeRecord): boolean {
  return one.state === 'approved' && other.state === 'approved' && tagsAllow(one.tags, other.tags)
}

function describeTags(tags: readonly string[]): string {
  return tags.length === 0 ? 'none' : tags.join(',')
}
