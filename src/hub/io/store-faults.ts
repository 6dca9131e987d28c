/** What SQLite's refusals mean to whoever runs a hub, and what to type then. */

import { accessSync, constants, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { shellWord } from '../../base/shell-word.js'
import { StoreError, type StoreFault } from '../store-error.js'
import { type SqliteDatabase, type SqliteStatement, tryResultCode } from './sqlite-driver.js'

/** Less than what SQLite needs to begin a transaction. */
const MIN_FREE_BYTES: number = 64 * 1024

/** The same database; what SQLite throws comes out as StoreError. `path`: its file. */
export function withStoreErrors(database: SqliteDatabase, path: string): SqliteDatabase {
  const guard = <T>(call: () => T): T => {
    try {
      return call()
    } catch (error) {
      throw toStoreError(error, path)
    }
  }
  return {
    exec: (sql) => guard(() => database.exec(sql)),
    close: () => guard(() => database.close()),
    prepare: (sql) => {
      const statement = guard(() => database.prepare(sql))
      const guarded: SqliteStatement = {
        run: (...values) => guard(() => statement.run(...values)),
        get: (...values) => guard(() => statement.get(...values)),
        all: (...values) => guard(() => statement.all(...values)),
      }
      return guarded
    },
  }
}

/** An error that is not from SQLite is given back as it is. */
export function toStoreError(error: unknown, path: string): unknown {
  const fault = faultOf(error, path)
  if (fault === undefined) return error
  if (fault === 'damaged') return damagedStore(path, error)
  const directory = shellWord(dirname(path))
  if (fault === 'locked') {
    const hint = `end the program that has ${path} open (fuser -v ${shellWord(path)}), such as a sqlite3 shell; the hub goes on by itself then`
    return new StoreError(fault, 'another program has locked the hub’s store', { hint, cause: error })
  }
  if (fault === 'full') {
    const hint = `make room there: df -h ${directory}; the hub goes on by itself then`
    return new StoreError(fault, 'the disk of the hub’s store is full', { hint, cause: error })
  }
  if (fault === 'readOnly') {
    const hint = `make it writable: mount -o remount,rw "$(findmnt -n -o TARGET -T ${directory})"; the hub goes on by itself then`
    return new StoreError(fault, 'the file system of the hub’s store is read-only', { hint, cause: error })
  }
  const reason = error instanceof Error ? error.message : String(error)
  const hint = `see whether its disk is read-only or fails: findmnt -T ${directory}`
  return new StoreError(fault, `the hub’s store cannot be written: ${reason}`, { hint, cause: error })
}

export function damagedStore(path: string, cause: unknown): StoreError {
  return new StoreError('damaged', `the store ${path} is empty or damaged`, {
    hint: `restore a backup: overlay hub restore FILE --state ${shellWord(dirname(path))}`,
    cause,
  })
}

/** A row of it is not as it was written; `table`: where. */
export function alteredStore(path: string, table: string): StoreError {
  return new StoreError(
    'damaged',
    `the store ${path} is damaged: a row of its table "${table}" has changed`,
    {
      hint: `restore a backup: overlay hub restore FILE --state ${shellWord(dirname(path))}`,
      cause: undefined,
    },
  )
}

/** Its file was deleted, moved or replaced while it was open. */
export function displacedStore(path: string): StoreError {
  return new StoreError('unwritable', `the store ${path} was removed or replaced while the hub runs`, {
    hint: `end the hub, and restore a backup: overlay hub restore FILE --state ${shellWord(dirname(path))}`,
    cause: undefined,
  })
}

function faultOf(error: unknown, path: string): StoreFault | undefined {
  switch (tryResultCode(error)) {
    case undefined:
      return undefined
    case 'BUSY':
    case 'LOCKED':
      return 'locked'
    case 'FULL':
      return 'full'
    case 'CORRUPT':
    case 'NOTADB':
      return 'damaged'
    // Of a file that SQLite sizes beforehand, a full disk is told as one that fails.
    default:
      if (isReadOnly(path)) return 'readOnly'
      return hasRoom(path) ? 'unwritable' : 'full'
  }
}

function isReadOnly(path: string): boolean {
  try {
    accessSync(dirname(path), constants.W_OK)
    return false
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EROFS'
  }
}

function hasRoom(path: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(dirname(path))
    return bavail * bsize >= MIN_FREE_BYTES
  } catch {
    return true
  }
}
