/**
 * The store in one SQLite file. The write-ahead log and full synchronisation make every transaction whole
 * and lasting, also when the process is killed in the middle of one.
 */

import { closeSync, openSync, statSync } from 'node:fs'
import { AppError, ERROR_CODES } from '../../base/errors.js'
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
import { StoreError } from '../store-error.js'
import { AuditTable } from './audit-table.js'
import { SEALED_TABLES, type SealedName, SealedTable, sealRows } from './sealed-table.js'
import { loadSqlite, type SqliteDatabase, type SqliteOpener } from './sqlite-driver.js'
import { damagedStore, displacedStore, toStoreError, withStoreErrors } from './store-faults.js'

const FILE_MODE = 0o600
/** Calls are synchronous, so all of the hub waits meanwhile. */
const LOCK_PATIENCE_MS = 100

/** Each takes the store one version further; none is ever changed once released. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE network (id INTEGER PRIMARY KEY CHECK (id = 1), record TEXT NOT NULL) STRICT;
   CREATE TABLE nodes (identity TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE tokens (hash TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE audit (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, event TEXT NOT NULL,
     subject TEXT NOT NULL, detail TEXT NOT NULL) STRICT;`,
  `CREATE TABLE consents (giver TEXT NOT NULL, receiver TEXT NOT NULL,
     PRIMARY KEY (giver, receiver)) STRICT, WITHOUT ROWID;
   CREATE INDEX consents_by_receiver ON consents (receiver);
   UPDATE network SET record = json_set(record, '$.needsConsent', json('false'));`,
  `CREATE TABLE epoch (id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL) STRICT;
   CREATE TABLE removals (identity TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;`,
  `ALTER TABLE audit ADD COLUMN is_by_node INTEGER NOT NULL DEFAULT 0;
   UPDATE audit SET is_by_node = 1 WHERE event IN ('node.enrolled', 'node.left', 'node.expired',
     'node.key_changed', 'node.troubled', 'consent.given', 'consent.revoked');
   CREATE INDEX audit_by_part ON audit (is_by_node, id);
   CREATE INDEX audit_by_share ON audit (subject, event, id);`,
  Object.keys(SEALED_TABLES)
    .map((table) => `ALTER TABLE ${table} ADD COLUMN checksum INTEGER NOT NULL DEFAULT -1;`)
    .join('\n'),
]
/** From this one on rows have checksums. */
const SEALED_VERSION = 5

/** Makes the store of a new hub. Throws AppError, also if there is one already. */
export async function createSqliteStore(path: string): Promise<Store> {
  const open = await loadSqlite()
  try {
    closeSync(openSync(path, 'wx', FILE_MODE))
  } catch (error) {
    throw toPlatformError(error, `cannot make the store ${path}`, 'run as root')
  }
  return opened(open, path, (database) => migrate(database))
}

/**
 * Writes a copy that can be opened as a store, also of one that another process has open, who is not held up.
 * `to`: an empty file. Throws AppError.
 */
export async function copySqliteStore(from: string, to: string): Promise<{ network: string; nodes: number }> {
  const open = await loadSqlite()
  requireContent(from)
  const database = withStoreErrors(open(from), from)
  try {
    database.exec(`PRAGMA busy_timeout = ${LOCK_PATIENCE_MS}`)
    requireSound(database, from)
    if (versionOf(database) >= SEALED_VERSION) requireRows(database, from)
    database.prepare('VACUUM INTO ?').run(to)
    const row = database
      .prepare(
        "SELECT json_extract(record, '$.name') AS network, (SELECT count(*) FROM nodes) AS nodes FROM network",
      )
      .get() as { network: string; nodes: number } | undefined
    if (row === undefined) throw damagedStore(from, undefined)
    return { network: row.network, nodes: row.nodes }
  } finally {
    tryClose(database)
  }
}

/** Throws StoreError for a file that is missing, empty or damaged; AppError where this Node has no SQLite. */
export async function openSqliteStore(path: string): Promise<Store> {
  const open = await loadSqlite()
  requireContent(path)
  const store = opened(open, path, (database) => {
    requireSound(database, path)
    migrate(database)
  })
  try {
    requireSealed(store, path)
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
function requireContent(path: string): void {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0) throw damagedStore(path, undefined)
}

/** Read here and whole, so that a damage is told now, and not when half of the nodes have come. */
function requireSound(database: SqliteDatabase, path: string): void {
  const [verdict] = database.prepare('PRAGMA integrity_check(1)').all() as { integrity_check: string }[]
  if (verdict?.integrity_check !== 'ok' || versionOf(database) === 0) throw damagedStore(path, verdict)
}

function requireRows(database: SqliteDatabase, path: string): void {
  for (const name of Object.keys(SEALED_TABLES)) new SealedTable(database, path, name as SealedName).all()
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

function opened(open: SqliteOpener, path: string, prepare: (database: SqliteDatabase) => void): Store {
  let database: SqliteDatabase | undefined
  try {
    database = withStoreErrors(open(path), path)
    database.exec(`PRAGMA busy_timeout = ${LOCK_PATIENCE_MS}`)
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    prepare(database)
    return new SqliteStore(database, path)
  } catch (error) {
    tryClose(database)
    throw toStoreError(error, path)
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

function versionOf(database: SqliteDatabase): number {
  return (database.prepare('PRAGMA user_version').get() as { user_version: number }).user_version
}

function migrate(database: SqliteDatabase): void {
  const version = versionOf(database)
  if (version > MIGRATIONS.length) {
    throw new AppError(ERROR_CODES.config, `the store is of version ${version}, newer than this program`, {
      hint: 'run the newer program',
    })
  }
  for (let next = version; next < MIGRATIONS.length; next++) {
    inTransaction(database, () => {
      database.exec(MIGRATIONS[next] ?? '')
      if (next + 1 === SEALED_VERSION) sealRows(database)
      database.exec(`PRAGMA user_version = ${next + 1}`)
    })
  }
}

/** Whole: with the lock from its beginning on, and taken back if `work` throws or the end of it fails. */
function inTransaction<T>(database: SqliteDatabase, work: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    try {
      database.exec('ROLLBACK')
    } catch {
      // A full disk makes SQLite roll back by itself, and then there is none.
    }
    throw error
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
  readonly #path: string
  /** Of the file that was opened. */
  readonly #inode: number | undefined
  #isInTransaction = false

  constructor(database: SqliteDatabase, path: string) {
    this.#database = database
    this.#path = path
    this.#inode = inodeOf(path)
    this.#network = new SealedTable(database, path, 'network')
    this.#nodes = new SealedTable(database, path, 'nodes')
    this.#tokens = new SealedTable(database, path, 'tokens')
    this.#consents = new SealedTable(database, path, 'consents')
    this.#epoch = new SealedTable(database, path, 'epoch')
    this.#removals = new SealedTable(database, path, 'removals')
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
    if (inodeOf(this.#path) !== this.#inode) throw displacedStore(this.#path)
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
      throw damagedStore(this.#path, error)
    }
  }
}
