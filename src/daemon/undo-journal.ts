/**
 * The undo journal of one interface: /run/overlay/<name>.json.
 *
 * INVARIANT: a lasting change is in the journal before it is made, and leaves it after it is undone.
 * Whoever finds a journal whose owner is dead can therefore put the host back as it was. The file is
 * also the lock: it is created only where none is, and names the process that owns the interface.
 */

import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { AppError, ERROR_CODES } from '../base/errors.js'
import { networkNamespace } from '../platform/network-namespace.js'
import { isProcessAlive, type ProcessId, processId } from '../platform/processes.js'
import type { RunPaths } from '../platform/run-directory.js'
import { toPlatformError } from '../platform/system-error.js'
import type { LastingChange } from './system-change.js'

const PRIVATE_MODE = 0o600

export interface JournalOwner {
  readonly interface: string
  /** `device`: interface and UAPI socket only. */
  readonly mode: 'tunnel' | 'device'
  /** Absolute path; empty if there is none. */
  readonly configFile: string
  /** Who starts the daemon again after a crash (src/daemon/guard.ts): the interface is its own meanwhile. */
  readonly guard?: ProcessId | undefined
}

/** The process is the daemon, or the command that cleans up after it. */
export interface JournalRecord extends JournalOwner, ProcessId {
  readonly version: 1
  /** Network namespace in which the changes were made. */
  readonly namespace: string
  /** In the order they were made. */
  readonly changes: readonly LastingChange[]
  /** Hooks to be run when all else is undone. */
  readonly postDown: readonly string[]
}

/** Undefined if there is no journal. One that cannot be read is an error: guessing would do harm. */
export async function tryReadJournal(path: string): Promise<JournalRecord | undefined> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const failure = toPlatformError(error, `cannot read ${path}`, 'run as root, for example with sudo')
    if (failure.errno === 'ENOENT') return undefined
    throw failure
  }
  const record = await tryParseRecord(text)
  if (record !== undefined) return record
  throw new AppError(ERROR_CODES.platform, `cannot understand ${path}: it was not written by this version`, {
    hint: `look at rules and DNS by hand (ip rule, nft list tables), then: rm ${path}`,
  })
}

async function tryParseRecord(text: string): Promise<JournalRecord | undefined> {
  const { journalRecord } = await import('./journal-schema.js')
  try {
    return journalRecord.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

export function isOwnerAlive(record: JournalRecord): boolean {
  return isProcessAlive(record)
}

/** The daemon died, and comes back by itself. */
export function isGuarded({ guard }: JournalRecord): boolean {
  return guard !== undefined && isProcessAlive(guard)
}

/** The journal as its owner sees it. */
export class UndoJournal {
  readonly #path: string
  #record: JournalRecord
  #isInherited = false

  private constructor(path: string, record: JournalRecord) {
    this.#path = path
    this.#record = record
  }

  /** Undefined if there is a journal already, whoever owns it. */
  static tryCreate(paths: RunPaths, owner: JournalOwner): UndoJournal | undefined {
    const record: JournalRecord = {
      version: 1,
      ...owner,
      ...ownProcess(),
      namespace: networkNamespace(),
      changes: [],
      postDown: [],
    }
    const draft = `${paths.journal}.${process.pid}`
    try {
      writeFileSync(draft, JSON.stringify(record), { mode: PRIVATE_MODE })
      linkSync(draft, paths.journal)
      return new UndoJournal(paths.journal, record)
    } catch (error) {
      const failure = toPlatformError(error, `cannot write ${paths.journal}`, 'run as root')
      if (failure.errno === 'EEXIST') return undefined
      throw failure
    } finally {
      rmSync(draft, { force: true })
    }
  }

  /**
   * For recovery: takes the journal of a dead owner over. It is moved aside first, so that of several
   * that try, one alone gets it; the others get undefined.
   */
  static async tryTakeOver(paths: RunPaths): Promise<UndoJournal | undefined> {
    const claim = `${paths.journal}.claim.${process.pid}`
    try {
      renameSync(paths.journal, claim)
    } catch (error) {
      const failure = toPlatformError(error, `cannot take over ${paths.journal}`, 'run as root')
      if (failure.errno === 'ENOENT') return undefined
      throw failure
    }
    const record = await tryReadJournal(claim)
    if (record === undefined || isOwnerAlive(record)) {
      // Somebody recovered and came up anew between the caller's look and our move: give it back.
      renameSync(claim, paths.journal)
      return undefined
    }
    const journal = new UndoJournal(paths.journal, { ...record, ...ownProcess() })
    try {
      journal.#write()
    } catch (error) {
      renameSync(claim, paths.journal) // no space: whoever comes later finds it
      throw error
    }
    rmSync(claim, { force: true })
    return journal
  }

  get record(): JournalRecord {
    return this.#record
  }

  /** Of a daemon that died: the next one's from now on, and with it the changes that stayed. */
  adopt(owner: JournalOwner): void {
    this.#isInherited = true
    this.#update({ guard: undefined, ...owner, postDown: [] })
  }

  /** It was a daemon's that died. */
  get isInherited(): boolean {
    return this.#isInherited
  }

  /** Call before the change is made. */
  add(change: LastingChange): void {
    this.#update({ changes: [...this.#record.changes, change] })
  }

  /** Call after the change was undone. */
  remove(change: LastingChange): void {
    this.#update({ changes: this.#record.changes.filter((other) => other !== change) })
  }

  setPostDown(hooks: readonly string[]): void {
    this.#update({ postDown: [...hooks] })
  }

  /** The last step of `down`: nothing is left to undo. */
  delete(): void {
    rmSync(this.#path, { force: true })
  }

  #update(fields: Partial<JournalRecord>): void {
    this.#record = { ...this.#record, ...fields }
    this.#write()
  }

  #write(): void {
    const draft = `${this.#path}.${process.pid}`
    try {
      writeFileSync(draft, JSON.stringify(this.#record), { mode: PRIVATE_MODE })
      renameSync(draft, this.#path)
    } catch (error) {
      rmSync(draft, { force: true })
      throw toPlatformError(error, `cannot write ${this.#path}`, 'run as root')
    }
  }
}

function ownProcess(): ProcessId {
  return processId(process.pid) ?? { pid: process.pid, processStart: '' }
}
