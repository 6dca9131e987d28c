import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createSqliteStore, openSqliteStore } from '../../../../src/hub/io/sqlite-store.js'
import { keepReserve, openWithReserve } from '../../../../src/hub/io/store-reserve.js'
import { NETWORK } from '../../../support/store-suite.js'

const DISK_BYTES = 1_048_576

describe.skipIf(process.getuid?.() !== 0)('a hub on a full disk (needs root: a small tmpfs)', () => {
  let disk: string
  let path: string

  beforeEach(async () => {
    disk = mkdtempSync(join(tmpdir(), 'overlay-disk-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'none', disk])
    path = join(disk, 'hub.db')
    const store = await createSqliteStore(path)
    store.setNetwork(NETWORK)
    store.close()
  })
  afterEach(() => {
    execFileSync('umount', [disk])
    rmSync(disk, { recursive: true })
  })

  function fill(): void {
    const { bavail, bsize } = statfsSync(disk)
    writeFileSync(join(disk, 'fill'), Buffer.alloc(bavail * bsize))
  }

  it('reads its store in the room that it kept', async () => {
    keepReserve(path)
    fill()
    await expect(openSqliteStore(path)).rejects.toMatchObject({ fault: 'full' })
    const store = await openWithReserve(path)
    expect(store.network()).toEqual(NETWORK)
    store.close()
  })

  it('does so at the next start too, if nobody took the room', async () => {
    keepReserve(path)
    fill()
    for (let start = 0; start < 3; start++) {
      const store = await openWithReserve(path)
      keepReserve(path)
      store.close()
      keepReserve(path)
      expect(statSync(`${path}-reserve`).size).toBe(262_144)
    }
  })

  it('keeps no reserve that would take the last room, and says that the disk is full', async () => {
    fill()
    keepReserve(path)
    expect(existsSync(`${path}-reserve`)).toBe(false)
    await expect(openWithReserve(path)).rejects.toMatchObject({ fault: 'full' })
  })
})
