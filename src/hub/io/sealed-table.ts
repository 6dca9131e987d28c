/**
 * A table of two columns whose rows bear a checksum, so that a bit that changed on the disk is found also where what
 * it made is still well-formed: SQLite looks at how its pages hang together, not at what a row says.
 *
 * It finds accidents. Whoever may write the file may write the checksum, too.
 */

import { crc32 } from 'node:zlib'
import type { SqliteDatabase, SqliteStatement } from './sqlite-driver.js'
import { alteredStore } from './store-faults.js'

/** Table, key and value. All that decides anything; the audit record does not. */
export const SEALED_TABLES = {
  network: ['id', 'record'],
  nodes: ['identity', 'record'],
  tokens: ['hash', 'record'],
  consents: ['giver', 'receiver'],
  epoch: ['id', 'epoch'],
  removals: ['identity', 'record'],
} as const

export type SealedName = keyof typeof SEALED_TABLES
type Cell = string | number

interface SealedRow {
  readonly key: Cell
  readonly value: Cell
  readonly checksum: number
}

/** The name is part of it: a row that came into another table is none of its rows. */
function checksumOf(name: SealedName, key: Cell, value: Cell): number {
  return crc32(`${name}\n${key}\n${value}`)
}

/** For rows of before there were checksums, which are taken as they are. */
export function sealRows(database: SqliteDatabase): void {
  for (const [name, [key, value]] of Object.entries(SEALED_TABLES) as [SealedName, [string, string]][]) {
    const seal = database.prepare(`UPDATE ${name} SET checksum = ? WHERE ${key} = ? AND ${value} = ?`)
    const rows = database.prepare(`SELECT ${key} AS key, ${value} AS value FROM ${name}`).all() as SealedRow[]
    for (const row of rows) seal.run(checksumOf(name, row.key, row.value), row.key, row.value)
  }
}

/** `path`: of the store, for the message. */
export class SealedTable<Key extends Cell, Value extends Cell> {
  readonly #name: SealedName
  readonly #path: string
  readonly #all: SqliteStatement
  readonly #find: SqliteStatement
  readonly #put: SqliteStatement
  readonly #delete: SqliteStatement

  constructor(database: SqliteDatabase, path: string, name: SealedName) {
    const [key, value] = SEALED_TABLES[name]
    const columns = `SELECT ${key} AS key, ${value} AS value, checksum FROM ${name}`
    this.#name = name
    this.#path = path
    this.#all = database.prepare(columns)
    this.#find = database.prepare(`${columns} WHERE ${key} = ?`)
    this.#put = database.prepare(
      `INSERT OR REPLACE INTO ${name} (${key}, ${value}, checksum) VALUES (?, ?, ?)`,
    )
    this.#delete = database.prepare(`DELETE FROM ${name} WHERE ${key} = ?`)
  }

  /** Throws StoreError if a row is not as it was written. */
  all(): { readonly key: Key; readonly value: Value }[] {
    return (this.#all.all() as SealedRow[]).map((row) => this.#checked(row))
  }

  /** Throws StoreError if the row is not as it was written. */
  find(key: Key): Value | undefined {
    const row = this.#find.get(key) as SealedRow | undefined
    return row && this.#checked(row).value
  }

  put(key: Key, value: Value): void {
    this.#put.run(key, value, checksumOf(this.#name, key, value))
  }

  delete(key: Key): void {
    this.#delete.run(key)
  }

  #checked(row: SealedRow): { readonly key: Key; readonly value: Value } {
    const { key, value, checksum } = row
    if (checksumOf(this.#name, key, value) !== checksum) throw alteredStore(this.#path, this.#name)
    return { key: key as Key, value: value as Value }
  }
}
