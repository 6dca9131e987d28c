/**
 * The store in one SQLite file. The write-ahead log and full synchronisation make every transaction whole
 * and lasting, also when the process is killed in the middle of one.
 */

import { chmodSync } from 'node:fs'
import { AppError, ERROR_CODES } from '../../base/errors.js'
import type {
  AuditRecord,
  ConsentRecord,
  NetworkRecord,
  NodeRecord,
  RemovalRecord,
  Store,
  TokenRecord,
} from '../store.js'
import { AuditTable } from './audit-table.js'
import { loadSqlite, type SqliteDatabase, type SqliteStatement } from './sqlite-driver.js'

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

/** Throws AppError: the file is none of ours, or this Node has no SQLite. */
export async function openSqliteStore(path: string): Promise<Store> {
  const open = await loadSqlite()
  let database: SqliteDatabase | undefined
  try {
    database = open(path)
    chmodSync(path, FILE_MODE)
    database.exec(`PRAGMA busy_timeout = ${LOCK_PATIENCE_MS}`)
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    migrate(database)
    return new SqliteStore(database)
  } catch (error) {
    database?.close()
    if (error instanceof AppError) throw error
    throw new AppError(ERROR_CODES.config, `cannot open the store ${path}: ${describe(error)}`, {
      hint: 'give the hub another directory with --state, or put a backup in its place',
      cause: error,
    })
  }
}

function migrate(database: SqliteDatabase): void {
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
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
  #isInTransaction = false

  constructor(database: SqliteDatabase) {
    this.#database = database
    this.#putNode = database.prepare('INSERT OR REPLACE INTO nodes VALUES (?, ?)')
    this.#putToken = database.prepare('INSERT OR REPLACE INTO tokens VALUES (?, ?)')
    this.#findToken = database.prepare('SELECT record FROM tokens WHERE hash = ?')
    this.#audit = new AuditTable(database)
    this.#audit.trim()
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
    return row === undefined ? undefined : (JSON.parse(row.record) as TokenRecord)
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
    this.#isInTransaction = true
    try {
      return inTransaction(this.#database, work)
    } finally {
      this.#isInTransaction = false
    }
  }

  backup(path: string): void {
    this.#database.prepare('VACUUM INTO ?').run(path)
    chmodSync(path, FILE_MODE)
  }

  close(): void {
    this.#database.close()
  }

  #records<T>(query: string): T[] {
    const rows = this.#database.prepare(query).all() as { record: string }[]
    return rows.map(({ record }) => JSON.parse(record) as T)
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
