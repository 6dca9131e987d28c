/** The audit record in its table, each part and share within its bound (audit-shares.ts). */

import { isCausedByNode, MAX_AUDIT_PART, MAX_AUDIT_SHARE } from '../audit-shares.js'
import type { AuditRecord } from '../store.js'
import type { SqliteDatabase, SqliteStatement } from './sqlite-driver.js'

/** Beyond its bound a part grows by so many at most. */
const TRIM_INTERVAL = 256

interface Row {
  readonly at_ms: number
  readonly event: string
  readonly subject: string
  readonly detail: string
}

export class AuditTable {
  readonly #put: SqliteStatement
  readonly #trimShare: SqliteStatement
  readonly #trimPart: SqliteStatement
  readonly #latest: SqliteStatement
  #appended = 0

  constructor(database: SqliteDatabase) {
    this.#put = database.prepare(
      'INSERT INTO audit (at_ms, event, subject, detail, is_by_node) VALUES (?, ?, ?, ?, ?)',
    )
    this.#trimShare = database.prepare(
      `DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE subject = ? AND event = ?
         ORDER BY id DESC LIMIT -1 OFFSET ${MAX_AUDIT_SHARE})`,
    )
    this.#trimPart = database.prepare(
      `DELETE FROM audit WHERE is_by_node = ? AND id <= (SELECT id FROM audit WHERE is_by_node = ?
         ORDER BY id DESC LIMIT 1 OFFSET ${MAX_AUDIT_PART})`,
    )
    this.#latest = database.prepare(
      'SELECT at_ms, event, subject, detail FROM audit ORDER BY id DESC LIMIT ?',
    )
  }

  append({ atMs, event, subject, detail }: AuditRecord): void {
    const isByNode = isCausedByNode(event)
    this.#put.run(Math.trunc(atMs), event, subject, detail, isByNode ? 1 : 0)
    if (isByNode) this.#trimShare.run(subject, event)
    this.#appended += 1
    if (this.#appended % TRIM_INTERVAL === 0) this.trim()
  }

  trim(): void {
    for (const part of [0, 1]) this.#trimPart.run(part, part)
  }

  latest(limit: number): readonly AuditRecord[] {
    const rows = this.#latest.all(limit) as Row[]
    return rows.map(({ at_ms: atMs, event, subject, detail }) => ({ atMs, event, subject, detail }))
  }
}
