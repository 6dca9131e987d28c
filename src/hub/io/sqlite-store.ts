/**
 * The store in one SQLite file. The write-ahead log and full synchronisation make every transaction whole
 * and lasting, also when the process is killed in the middle of one.
 */

import { closeSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { AppError } from '../../base/errors.js'
import { shellWord } from '../../base/shell-word.js'
import { toPlatformError } from '../../platform/system-error.js'
import type {
  AuditRecord,
  ConsentRecord,
  NetworkRecord,
  NodeRecord,
  RemovalRecord,
  Store,
  TokenRecord,
} from '../store.js'
import { isForDisk, reasonOf, StoreError } from '../store-error.js'
import { AuditTable } from './audit-table.js'
import { withScratchCopy } from './scratch-copy.js'
import { SealedTable } from './sealed-table.js'
import { loadSqlite, type SqliteDatabase, type SqliteOpener } from './sqlite-driver.js'
import { inTransaction, migrate, requireRows, requireSound, requireWritable } from './sqlite-schema.js'
import { damagedStore, displacedStore, toStoreError, withStoreErrors } from './store-faults.js'

const FILE_MODE = 0o600
/** Calls are synchronous, so all of the hub waits meanwhile. */
const LOCK_PATIENCE_MS = 100

/** Makes the store of a new hub. Throws AppError, also if there is one already. */
export async function createSqliteStore(path: string): Promise<Store> {
  const open = await loadSqlite()
  try {
    closeSync(openSync(path, 'wx', FILE_MODE))
  } catch (error) {
    throw toPlatformError(error, `cannot make the store ${path}`, 'run as root')
  }
  return opened(open, { path, name: path }, (database) => migrate(database))
}

/**
 * Writes a copy that can be opened as a store, also of one that another process has open, who is not held up.
 * `to`: an empty file. Throws AppError.
 */
export async function copySqliteStore(from: string, to: string): Promise<{ network: string; nodes: number }> {
  const open = await loadSqlite()
  try {
    return copied(open, { path: from, name: from }, to)
  } catch (error) {
    if (!isForDisk(error)) throw error
    return await withScratchCopy(from, error, async (path) => copied(open, { path, name: from }, to))
  }
}

function copied(
  open: SqliteOpener,
  { path, name }: StorePath,
  to: string,
): { network: string; nodes: number } {
  requireContent(path, name)
  const database = withStoreErrors(open(path), name)
  try {
    database.exec(`PRAGMA busy_timeout = ${LOCK_PATIENCE_MS}`)
    requireSound(database, name)
    requireRows(database, name)
    writeCopy(database, to)
    const row = database
      .prepare(
        "SELECT json_extract(record, '$.name') AS network, (SELECT count(*) FROM nodes) AS nodes FROM network",
      )
      .get() as { network: string; nodes: number } | undefined
    if (row === undefined) throw damagedStore(name, undefined)
    return { network: row.network, nodes: row.nodes }
  } finally {
    tryClose(database)
  }
}

/** It is another disk that may be full or read-only here than that of the store. Throws AppError. */
function writeCopy(database: SqliteDatabase, to: string): void {
  try {
    database.prepare('VACUUM INTO ?').run(to)
  } catch (error) {
    const { cause } = error as { readonly cause?: unknown }
    const failure = toStoreError(cause ?? error, to)
    if (!isForDisk(failure)) throw error
    throw new AppError(failure.code, `cannot write a copy of the store to ${to}: ${reasonOf(failure)}`, {
      hint: `see whether there is room: df -h ${shellWord(dirname(to))}; or give another path`,
      cause: error,
    })
  }
}

/**
 * Throws StoreError for a file that is missing, empty or damaged; AppError where this Node has no SQLite. `name`: of
 * the store for people, if `path` is that of a copy.
 */
export async function openSqliteStore(path: string, name: string = path): Promise<Store> {
  return openStoreWith(await loadSqlite(), path, name)
}

/** The same, for who has loaded SQLite. */
export function openStoreWith(open: SqliteOpener, path: string, name: string = path): Store {
  requireContent(path, name)
  const store = opened(open, { path, name }, (database) => {
    requireSound(database, name)
    requireWritable(database)
    migrate(database)
  })
  try {
    requireSealed(store, name)
    return store
  } catch (error) {
    store.close()
    throw error
  }
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino
}

/** SQLite would make a new store of an empty file. */
function requireContent(path: string, name: string): void {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0) throw damagedStore(name, undefined)
}

/** What a sound page holds can be damaged, too. */
function requireSealed(store: Store, path: string): void {
  if (store.network() === undefined) throw damagedStore(path, undefined)
  store.nodes()
  store.tokens()
  store.consents()
  store.epoch()
  store.removals()
}

interface StorePath {
  readonly path: string
  /** For people. */
  readonly name: string
}

function opened(
  open: SqliteOpener,
  { path, name }: StorePath,
  prepare: (database: SqliteDatabase) => void,
): Store {
  let database: SqliteDatabase | undefined
  try {
    database = withStoreErrors(open(path), name)
    database.exec(`PRAGMA busy_timeout = ${LOCK_PATIENCE_MS}`)
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    prepare(database)
    return new SqliteStore(database, { path, name })
  } catch (error) {
    tryClose(database)
    throw toStoreError(error, name)
  }
}

/** A store that fails may fail to close, too; what made it fail is what counts. */
function tryClose(database: SqliteDatabase | undefined): void {
  try {
    database?.close()
  } catch {
    // Nothing of it was kept.
  }
}

class SqliteStore implements Store {
  readonly #database: SqliteDatabase
  readonly #network: SealedTable<number, string>
  readonly #nodes: SealedTable<string, string>
  readonly #tokens: SealedTable<string, string>
  readonly #consents: SealedTable<string, string>
  readonly #epoch: SealedTable<number, number>
  readonly #removals: SealedTable<string, string>
  readonly #audit: AuditTable
  readonly #path: StorePath
  /** Of the file that was opened. */
  readonly #inode: number | undefined
  #isInTransaction = false

  constructor(database: SqliteDatabase, path: StorePath) {
    const { name } = path
    this.#database = database
    this.#path = path
    this.#inode = inodeOf(path.path)
    this.#network = new SealedTable(database, name, 'network')
    this.#nodes = new SealedTable(database, name, 'nodes')
    this.#tokens = new SealedTable(database, name, 'tokens')
    this.#consents = new SealedTable(database, name, 'consents')
    this.#epoch = new SealedTable(database, name, 'epoch')
    this.#removals = new SealedTable(database, name, 'removals')
    this.#audit = new AuditTable(database)
    this.#trimAudit()
  }

  network(): NetworkRecord | undefined {
    return this.#records<NetworkRecord>(this.#network)[0]
  }

  setNetwork(network: NetworkRecord): void {
    this.#network.put(1, JSON.stringify(network))
  }

  nodes(): readonly NodeRecord[] {
    return this.#records<NodeRecord>(this.#nodes)
  }

  putNode(node: NodeRecord): void {
    this.#nodes.put(node.identity, JSON.stringify(node))
  }

  deleteNode(identity: string): void {
    this.transaction(() => {
      this.#nodes.delete(identity)
      this.#database.prepare('DELETE FROM consents WHERE giver = ? OR receiver = ?').run(identity, identity)
    })
  }

  consents(): readonly ConsentRecord[] {
    return this.#consents.all().map(({ key: giver, value: receiver }) => ({ giver, receiver }))
  }

  putConsent({ giver, receiver }: ConsentRecord): void {
    this.#consents.put(giver, receiver)
  }

  deleteConsent({ giver, receiver }: ConsentRecord): void {
    this.#database.prepare('DELETE FROM consents WHERE giver = ? AND receiver = ?').run(giver, receiver)
  }

  epoch(): number {
    return this.#epoch.find(1) ?? 0
  }

  setEpoch(epoch: number): void {
    this.#epoch.put(1, epoch)
  }

  removals(): readonly RemovalRecord[] {
    return this.#records<RemovalRecord>(this.#removals)
  }

  putRemoval(removal: RemovalRecord): void {
    this.#removals.put(removal.identity, JSON.stringify(removal))
  }

  deleteRemoval(identity: string): void {
    this.#removals.delete(identity)
  }

  tokens(): readonly TokenRecord[] {
    return this.#records<TokenRecord>(this.#tokens)
  }

  findToken(hash: string): TokenRecord | undefined {
    const record = this.#tokens.find(hash)
    return record === undefined ? undefined : this.#parse<TokenRecord>(record)
  }

  putToken(token: TokenRecord): void {
    this.#tokens.put(token.hash, JSON.stringify(token))
  }

  deleteToken(hash: string): void {
    this.#tokens.delete(hash)
  }

  appendAudit(record: AuditRecord): void {
    this.#audit.append(record)
  }

  audit(limit: number): readonly AuditRecord[] {
    return this.#audit.latest(limit)
  }

  transaction<T>(work: () => T): T {
    if (this.#isInTransaction) return work()
    // SQLite would go on writing into a file that nobody finds again.
    if (inodeOf(this.#path.path) !== this.#inode) throw displacedStore(this.#path.name)
    this.#isInTransaction = true
    try {
      return inTransaction(this.#database, work)
    } finally {
      this.#isInTransaction = false
    }
  }

  close(): void {
    this.#database.close()
  }

  /** At the next start, where the disk is full or locked at this one. */
  #trimAudit(): void {
    try {
      this.#audit.trim()
    } catch (error) {
      if (!(error instanceof StoreError) || error.fault === 'damaged') throw error
    }
  }

  #records<T>(table: SealedTable<string, string> | SealedTable<number, string>): T[] {
    return table.all().map(({ value }) => this.#parse<T>(value))
  }

  #parse<T>(record: string): T {
    try {
      return JSON.parse(record) as T
    } catch (error) {
      throw damagedStore(this.#path.name, error)
    }
  }
}
