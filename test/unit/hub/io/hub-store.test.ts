/** A hub whose store is on a disk that is read-only when it starts. */

import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openHubStore } from '../../../../src/hub/io/hub-store.js'
import { loadSqlite } from '../../../../src/hub/io/sqlite-driver.js'
import { copySqliteStore, createSqliteStore, openSqliteStore } from '../../../../src/hub/io/sqlite-store.js'
import type { Store } from '../../../../src/hub/store.js'
import { NETWORK, nodeRecord } from '../../../support/store-suite.js'

const MANY = 40

describe.skipIf(process.getuid?.() !== 0)('a hub on a read-only disk (needs root: a small tmpfs)', () => {
  let disk: string
  let path: string
  let inUse: Store | undefined

  beforeEach(async () => {
    disk = mkdtempSync(join(tmpdir(), 'overlay-disk-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'none', disk])
    path = join(disk, 'hub.db')
    inUse = await createSqliteStore(path)
    inUse.setNetwork(NETWORK)
    for (let number = 1; number <= MANY; number++) inUse.putNode(nodeRecord(number))
    inUse.setEpoch(5)
    inUse.appendAudit({ atMs: 1, event: 'node.approved', subject: 'node-1', detail: '' })
  })
  afterEach(() => {
    inUse?.close()
    inUse = undefined
    remount('rw')
    execFileSync('umount', [disk])
    rmSync(disk, { recursive: true })
  })

  function remount(mode: 'ro' | 'rw'): void {
    execFileSync('mount', ['-o', `remount,${mode}`, disk])
  }

  /** `crash`: the files of the write-ahead log stay, and the last changes are in there alone. */
  async function end(how: 'in order' | 'crash'): Promise<void> {
    if (how === 'crash') {
      const kept = join(disk, 'kept')
      execFileSync('sh', ['-c', `mkdir ${kept}; cp ${path}* ${kept}`])
      inUse?.close()
      execFileSync('sh', ['-c', `mv ${kept}/* ${disk}; rmdir ${kept}`])
      expect(existsSync(`${path}-wal`)).toBe(true)
    } else inUse?.close()
    inUse = undefined
  }

  const scratch = () =>
    ['/run', tmpdir(), '/dev/shm'].flatMap((parent) =>
      existsSync(parent) ? readdirSync(parent).filter((name) => name.startsWith('overlay-store-')) : [],
    )

  it.each(['in order', 'crash'] as const)('knows all, takes no change, and heals (ended %s)', async (how) => {
    await end(how)
    remount('ro')
    await expect(openSqliteStore(path)).rejects.toMatchObject({ fault: 'readOnly' })
    const store = await openHubStore(path)
    expect([store.network(), store.nodes().length, store.epoch()]).toEqual([NETWORK, MANY, 5])
    expect(store.audit(1)).toMatchObject([{ event: 'node.approved' }])
    const change = () => store.transaction(() => store.putNode(nodeRecord(77)))
    expect(change).toThrow(
      expect.objectContaining({
        fault: 'readOnly',
        message: 'the file system of the hub’s store is read-only',
        hint: expect.stringContaining(`findmnt -n -o TARGET -T ${disk}`),
      }),
    )
    expect(store.nodes()).toHaveLength(MANY)
    expect(scratch()).toEqual([])
    remount('rw')
    change()
    expect(store.nodes()).toHaveLength(MANY + 1)
    store.close()
    const after = await openSqliteStore(path)
    expect(after.nodes()).toHaveLength(MANY + 1)
    after.close()
  })

  it('does so on a full disk too, where no room was kept', async () => {
    await end('in order')
    const { bavail, bsize } = statfsSync(disk)
    writeFileSync(join(disk, 'fill'), Buffer.alloc(bavail * bsize))
    await expect(openSqliteStore(path)).rejects.toMatchObject({ fault: 'full' })
    const store = await openHubStore(path)
    expect(store.nodes()).toHaveLength(MANY)
    expect(() => store.setEpoch(6)).toThrow(expect.objectContaining({ fault: 'full' }))
    rmSync(join(disk, 'fill'))
    store.setEpoch(6)
    store.close()
  })

  it('can be copied', async () => {
    await end('crash')
    remount('ro')
    const copy = `${disk}.copy`
    writeFileSync(copy, '')
    expect(await copySqliteStore(path, copy)).toEqual({ network: 'home', nodes: MANY })
    rmSync(copy)
    expect(scratch()).toEqual([])
  })

  it('is refused when its store is damaged, and not over another store than it read', async () => {
    await end('in order')
    remount('ro')
    const store = await openHubStore(path)
    remount('rw')
    const other = (await loadSqlite())(path)
    other.exec("DELETE FROM nodes WHERE record LIKE '%node-3%'")
    other.close()
    expect(() => store.setEpoch(6)).toThrow(
      expect.objectContaining({ message: expect.stringContaining('was removed or replaced') }),
    )
    const damaged = (await loadSqlite())(path)
    damaged.exec('UPDATE epoch SET epoch = 9')
    damaged.close()
    remount('ro')
    await expect(openHubStore(path)).rejects.toMatchObject({
      fault: 'damaged',
      message: `the store ${path} is damaged: a row of its table "epoch" has changed`,
    })
    expect(scratch()).toEqual([])
  })
})
