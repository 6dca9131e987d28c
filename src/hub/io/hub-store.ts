/** Opens the store of a hub that is to run, whatever state its disk is in. */

import type { Store } from '../store.js'
import { isForDisk } from '../store-error.js'
import { withScratchCopy } from './scratch-copy.js'
import { loadSqlite } from './sqlite-driver.js'
import { openSqliteStore, openStoreWith } from './sqlite-store.js'
import { openWithReserve } from './store-reserve.js'
import { WaitingStore } from './waiting-store.js'

/**
 * Where the disk takes no writes, what the store holds is read all the same, and the store opened when the disk takes
 * some. Throws as openSqliteStore for a store that cannot be read.
 */
export async function openHubStore(path: string): Promise<Store> {
  try {
    return await openWithReserve(path)
  } catch (error) {
    if (!isForDisk(error)) throw error
    const open = await loadSqlite()
    return await withScratchCopy(path, error, async (copy) => {
      const known = await openSqliteStore(copy, path)
      try {
        return new WaitingStore(path, known, () => openStoreWith(open, path))
      } finally {
        known.close()
      }
    })
  }
}
