/**
 * Room on the disk that a hub keeps for its next start: SQLite needs files beside the store before it can so much as
 * read it, and on a full disk there is room for none.
 */

import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs'
import type { Store } from '../store.js'
import { StoreError } from '../store-error.js'
import { openSqliteStore } from './sqlite-store.js'

/** The shared index of the write-ahead log takes 32 KiB, the log itself a few pages. */
const RESERVE_BYTES: number = 256 * 1024
const FILE_MODE = 0o600

function pathOf(store: string): string {
  return `${store}-reserve`
}

/** The store of a hub that is to run; on a full disk, in the room that was kept. Throws as openSqliteStore. */
export async function openWithReserve(path: string): Promise<Store> {
  try {
    return await openSqliteStore(path)
  } catch (error) {
    const isFull = error instanceof StoreError && error.fault === 'full'
    if (!isFull || !tryReleaseReserve(path)) throw error
    return await openSqliteStore(path)
  }
}

/**
 * Once the store is open, and once more when it is closed: there is the room of the files that went with it. Without a
 * reserve the hub works as well.
 */
export function keepReserve(store: string): void {
  let fd: number | undefined
  try {
    fd = openSync(pathOf(store), 'w', FILE_MODE)
    const zeros = Buffer.alloc(RESERVE_BYTES)
    for (let at = 0; at < zeros.length; ) at += writeSync(fd, zeros, at)
    fsyncSync(fd)
  } catch {
    tryReleaseReserve(store) // nearly full: the store needs the rest itself
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

/** False if there was none. */
function tryReleaseReserve(store: string): boolean {
  try {
    rmSync(pathOf(store))
    return true
  } catch {
    return false
  }
}
