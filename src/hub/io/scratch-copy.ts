/**
 * Reads a store where SQLite cannot: it needs files beside a store before it can so much as read it, and on a disk
 * that is read-only or full there can be none. A copy elsewhere has room for them, and is gone after the reading.
 */

import { chmodSync, copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const FILE_MODE = 0o600
const NAME = 'overlay-store-'
/** What was written last is in the log, which is a part of the store. */
const ENDS = ['', '-wal']

/** The first that can be written: where a system is read-only, one of them is in memory. */
function scratchDirectories(): string[] {
  return ['/run', tmpdir(), '/dev/shm']
}

/** Rejects with `reason`, which is why there has to be a copy, if there can be none; else as `use` does. */
export async function withScratchCopy<T>(
  path: string,
  reason: unknown,
  use: (copy: string) => Promise<T>,
): Promise<T> {
  for (const parent of scratchDirectories()) {
    let directory: string | undefined
    try {
      directory = mkdtempSync(join(parent, NAME))
      const copy = tryCopy(path, join(directory, 'hub.db'))
      if (copy !== undefined) return await use(copy)
    } catch (error) {
      if (directory !== undefined) throw error
    } finally {
      if (directory !== undefined) rmSync(directory, { recursive: true, force: true })
    }
  }
  throw reason
}

/** Undefined if it cannot be read, or there is no room. */
function tryCopy(path: string, copy: string): string | undefined {
  try {
    for (const end of ENDS) {
      if (!existsSync(`${path}${end}`)) continue
      copyFileSync(`${path}${end}`, `${copy}${end}`)
      chmodSync(`${copy}${end}`, FILE_MODE)
    }
    return copy
  } catch {
    return undefined
  }
}
