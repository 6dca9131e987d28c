/**
 * The few calls of SQLite that the store needs, over the module that this Node has: `node:sqlite` where it is
 * there without a flag (22.13 and newer), the package better-sqlite3 before. Both are loaded here and only
 * here: a node that is no hub runs without either.
 *
 * What the store reads and writes does not depend on the module: a file of one is a file of the other.
 */

import { AppError, ERROR_CODES } from '../../base/errors.js'

type SqliteValue = string | number | null

export interface SqliteStatement {
  run(...values: readonly SqliteValue[]): unknown
  /** Undefined if there is no row. */
  get(...values: readonly SqliteValue[]): unknown
  all(...values: readonly SqliteValue[]): unknown[]
}

/** What both modules have alike. Calls throw what `tryResultCode` reads. */
export interface SqliteDatabase {
  exec(sql: string): unknown
  prepare(sql: string): SqliteStatement
  close(): unknown
}

export type SqliteOpener = (path: string) => SqliteDatabase

interface NodeSqlite {
  readonly DatabaseSync: new (path: string) => SqliteDatabase
}

/** Throws AppError where there is neither. */
export async function loadSqlite(): Promise<SqliteOpener> {
  const builtin = withoutSqliteWarning(() => process.getBuiltinModule('node:sqlite')) as
    | NodeSqlite
    | undefined
  if (builtin !== undefined) return (path) => new builtin.DatabaseSync(path)
  try {
    const { default: Database } = await import('better-sqlite3')
    // The binding is loaded with the first database only.
    new Database(':memory:').close()
    return (path) => {
      const database = new Database(path)
      return {
        exec: (sql) => database.exec(sql),
        prepare: (sql) => database.prepare<SqliteValue[]>(sql),
        close: () => database.close(),
      }
    }
  } catch (error) {
    throw new AppError(
      ERROR_CODES.addon,
      `a hub on Node ${process.versions.node} needs the package better-sqlite3`,
      {
        // 13 and newer are for releases of Node that have SQLite themselves.
        hint: 'use Node 22.13 or newer, which needs no package; or type: npm install --global better-sqlite3@12',
        cause: error,
      },
    )
  }
}

/** The primary result codes that a store tells apart, of https://www.sqlite.org/rescode.html. */
const RESULT_CODES = {
  5: 'BUSY',
  6: 'LOCKED',
  8: 'READONLY',
  10: 'IOERR',
  11: 'CORRUPT',
  13: 'FULL',
  14: 'CANTOPEN',
  26: 'NOTADB',
} as const

type ResultCode = (typeof RESULT_CODES)[keyof typeof RESULT_CODES] | 'ERROR'

/** Why SQLite refused; undefined for an error that is not from SQLite. */
export function tryResultCode(error: unknown): ResultCode | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined
  if (error.code === 'ERR_SQLITE_ERROR') {
    const number = 'errcode' in error && typeof error.errcode === 'number' ? error.errcode & 0xff : 1
    return Object.entries(RESULT_CODES).find(([code]) => Number(code) === number)?.[1] ?? 'ERROR'
  }
  const [, word] = /^SQLITE_([A-Z]+)/.exec(error.code) ?? []
  if (word === undefined) return undefined
  return Object.values(RESULT_CODES).find((name) => name === word) ?? 'ERROR'
}

/**
 * Node 22 tells everybody who loads the module that it is experimental. Nobody who runs a hub can do anything
 * about that; every other warning goes out as ever.
 */
function withoutSqliteWarning<T>(load: () => T): T {
  const { emitWarning } = process
  process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
    if (rest[0] === 'ExperimentalWarning' && String(warning).startsWith('SQLite')) return
    Reflect.apply(emitWarning, process, [warning, ...rest])
  }) as typeof emitWarning
  try {
    return load()
  } finally {
    process.emitWarning = emitWarning
  }
}
