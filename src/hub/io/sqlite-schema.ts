/**
 * The tables of a store in SQLite: how they are made and taken from one version to the next, and how it is found out
 * whether those that are there are whole.
 */

import { AppError, ERROR_CODES } from '../../base/errors.js'
import { StoreError } from '../store-error.js'
import { SEALED_TABLES, type SealedName, SealedTable, sealRows } from './sealed-table.js'
import type { SqliteDatabase } from './sqlite-driver.js'
import { damagedStore } from './store-faults.js'

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

function versionOf(database: SqliteDatabase): number {
  return (database.prepare('PRAGMA user_version').get() as { user_version: number }).user_version
}

export function migrate(database: SqliteDatabase): void {
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
export function inTransaction<T>(database: SqliteDatabase, work: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    tryRollBack(database)
    throw error
  }
}

function tryRollBack(database: SqliteDatabase): void {
  try {
    database.exec('ROLLBACK')
  } catch {
    // A full disk makes SQLite roll back by itself, and then there is none.
  }
}

/** Read here and whole, so that a damage is told now, and not when half of the nodes have come. */
export function requireSound(database: SqliteDatabase, path: string): void {
  const [verdict] = database.prepare('PRAGMA integrity_check(1)').all() as { integrity_check: string }[]
  if (verdict?.integrity_check !== 'ok' || versionOf(database) === 0) throw damagedStore(path, verdict)
}

/** Those of a store that has no checksums yet are taken as they are. */
export function requireRows(database: SqliteDatabase, path: string): void {
  if (versionOf(database) < SEALED_VERSION) return
  for (const name of Object.keys(SEALED_TABLES)) new SealedTable(database, path, name as SealedName).all()
}

/** Opened on a disk that is read-only at that moment, a database takes no writes for as long as it is open. */
export function requireWritable(database: SqliteDatabase): void {
  try {
    database.exec('BEGIN IMMEDIATE')
    try {
      // On such a disk the beginning alone is let pass. Nothing of this is kept.
      database.exec(`PRAGMA user_version = ${versionOf(database)}`)
    } finally {
      tryRollBack(database)
    }
  } catch (error) {
    const isPassing = error instanceof StoreError && (error.fault === 'locked' || error.fault === 'full')
    if (!isPassing) throw error
  }
}
