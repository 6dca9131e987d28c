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
import { loadSqlite, type SqliteDatabase, type SqliteOpener, type SqliteStatement } from './sqlite-driver.js'
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
]

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
    // JSON inside a sound page can be damaged, too.
    if (store.network() === undefined) throw damagedStore(path, undefined)
    store.nodes()
    store.tokens()
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
  readonly #putNode: SqliteStatement
  readonly #putToken: SqliteStatement
  readonly #findToken: SqliteStatement
  readonly #audit: AuditTable
  readonly #path: string
  /** Of the file that was opened. */
  readonly #inode: number | undefined
  #isInTransaction = false

  constructor(database: SqliteDatabase, path: string) {
    this.#database = database
    this.#path = path
    this.#inode = inodeOf(path)
    this.#putNode = database.prepare('INSERT OR REPLACE INTO nodes VALUES (?, ?)')
    this.#putToken = database.prepare('INSERT OR REPLACE INTO tokens VALUES (?, ?)')
    this.#findToken = database.prepare('SELECT record FROM tokens WHERE hash = ?')
    this.#audit = new AuditTable(database)
    this.#trimAudit()
  }

  network(): NetworkRecord | undefined {
    return this.#records<NetworkRecord>('SELECT record FROM network')[0]
  }

  setNetwork(network: NetworkRecord): void {
    this.#database.prepare('INSERT OR REPLACE INTO network VALUES (1, ?)').run(JSON.stringify(network))
  }

  nodes(): readonly NodeRecord[] {
    return this.#records<NodeRecord>('SELECT record FROM nodes')
  }

  putNode(node: NodeRecord): void {
    this.#putNode.run(node.identity, JSON.stringify(node))
  }

  deleteNode(identity: string): void {
    this.transaction(() => {
      this.#database.prepare('DELETE FROM nodes WHERE identity = ?').run(identity)
      this.#database.prepare('DELETE FROM consents WHERE giver = ? OR receiver = ?').run(identity, identity)
    })
  }

  consents(): readonly ConsentRecord[] {
    const rows = this.#database.prepare('SELECT giver, receiver FROM consents').all() as ConsentRecord[]
    return rows.map(({ giver, receiver }) => ({ giver, receiver }))
  }

  putConsent({ giver, receiver }: ConsentRecord): void {
    this.#database.prepare('INSERT OR REPLACE INTO consents VALUES (?, ?)').run(giver, receiver)
  }

  deleteConsent({ giver, receiver }: ConsentRecord): void {
    this.#database.prepare('DELETE FROM consents WHERE giver = ? AND receiver = ?').run(giver, receiver)
  }

  epoch(): number {
    const row = this.#database.prepare('SELECT epoch FROM epoch').get() as { epoch: number } | undefined
    return row?.epoch ?? 0
  }

  setEpoch(epoch: number): void {
    this.#database.prepare('INSERT OR REPLACE INTO epoch VALUES (1, ?)').run(epoch)
  }

  removals(): readonly RemovalRecord[] {
    return this.#records<RemovalRecord>('SELECT record FROM removals')
  }

  putRemoval(removal: RemovalRecord): void {
    this.#database
      .prepare('INSERT OR REPLACE INTO removals VALUES (?, ?)')
      .run(removal.identity, JSON.stringify(removal))
  }

  deleteRemoval(identity: string): void {
    this.#database.prepare('DELETE FROM removals WHERE identity = ?').run(identity)
  }

  tokens(): readonly TokenRecord[] {
    return this.#records<TokenRecord>('SELECT record FROM tokens')
  }

  findToken(hash: string): TokenRecord | undefined {
    const row = this.#findToken.get(hash) as { record: string } | undefined
    return row === undefined ? undefined : this.#parse<TokenRecord>(row.record)
  }

  putToken(token: TokenRecord): void {
    this.#putToken.run(token.hash, JSON.stringify(token))
  }

  deleteToken(hash: string): void {
    this.#database.prepare('DELETE FROM tokens WHERE hash = ?').run(hash)
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

  #records<T>(query: string): T[] {
    const rows = this.#database.prepare(query).all() as { record: string }[]
    return rows.map(({ record }) => this.#parse<T>(record))
  }

  #parse<T>(record: string): T {
    try {
      return JSON.parse(record) as T
    } catch (error) {
      throw damagedStore(this.#path, error)
    }
  }
}
