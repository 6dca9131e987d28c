/**
 * Reads a store where SQLite cannot: it needs files beside a store before it can so much as read it, and on a disk
 * that is read-only or full there can be none. A copy elsewhere has room for them, and is gone after the reading.
 */

import { chmodSync, copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
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
  return await inScratch((copy) => copyStore(path, copy), reason, use)
}

/** The same with a store that is no file yet. Rejects with what the last place said if there is none for it. */
export async function withScratchFile<T>(bytes: Uint8Array, use: (copy: string) => Promise<T>): Promise<T> {
  return await inScratch((copy) => writeFileSync(copy, bytes, { mode: FILE_MODE }), undefined, use)
}

async function inScratch<T>(
  fill: (copy: string) => void,
  reason: unknown,
  use: (copy: string) => Promise<T>,
): Promise<T> {
  let failure = reason
  for (const parent of scratchDirectories()) {
    let directory: string | undefined
    try {
      directory = mkdtempSync(join(parent, NAME))
      const copy = join(directory, 'hub.db')
      fill(copy)
      return await use(copy)
    } catch (error) {
      if (!isSystemError(error)) throw error
      failure ??= error
    } finally {
      if (directory !== undefined) rmSync(directory, { recursive: true, force: true })
    }
  }
  throw failure
}

function copyStore(path: string, copy: string): void {
  for (const end of ENDS) {
    if (!existsSync(`${path}${end}`)) continue
    copyFileSync(`${path}${end}`, `${copy}${end}`)
    chmodSync(`${copy}${end}`, FILE_MODE)
  }
}

/** It cannot be read, or there is no room here: of a system call, and not of the store. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}
