import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { SEALED_TABLES } from '../../../../src/hub/io/sealed-table.js'
import { loadSqlite } from '../../../../src/hub/io/sqlite-driver.js'
import { copySqliteStore, createSqliteStore, openSqliteStore } from '../../../../src/hub/io/sqlite-store.js'
import { MemoryStore } from '../../../../src/hub/memory-store.js'
import { describeStore, NETWORK, nodeRecord } from '../../../support/store-suite.js'

const directory = mkdtempSync(join(tmpdir(), 'overlay-hub-store-test-'))
let files = 0

function newFile(): string {
  files += 1
  return join(directory, `${files}.db`)
}

afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe('the store in memory', () => {
  describeStore(async () => new MemoryStore())
})

describe('the store in a file', () => {
  describeStore(async () => await createSqliteStore(newFile()))

  it('is there again after it was closed, and for its owner alone', async () => {
    const path = newFile()
    const first = await createSqliteStore(path)
    first.setNetwork(NETWORK)
    first.putNode(nodeRecord(1))
    first.close()
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const second = await openSqliteStore(path)
    expect(second.nodes()).toEqual([nodeRecord(1)])
    second.close()
  })

  it('takes a failed transaction back whole', async () => {
    const store = await createSqliteStore(newFile())
    const fail = () =>
      store.transaction(() => {
        store.putNode(nodeRecord(1))
        throw new Error('half-way')
      })
    expect(fail).toThrow('half-way')
    expect(store.nodes()).toEqual([])
    store.close()
  })

  it('can be copied while it is open', async () => {
    const path = newFile()
    const store = await createSqliteStore(path)
    store.setNetwork(NETWORK)
    store.putNode(nodeRecord(3))
    const copy = newFile()
    writeFileSync(copy, '')
    expect(await copySqliteStore(path, copy)).toEqual({ network: 'home', nodes: 1 })
    store.close()
    const restored = await openSqliteStore(copy)
    expect(restored.nodes()).toEqual([nodeRecord(3)])
    restored.close()
  })

  it('takes over a file of before there was consent: its network asks for none', async () => {
    const path = newFile()
    const older = (await loadSqlite())(path)
    older.exec(`CREATE TABLE network (id INTEGER PRIMARY KEY CHECK (id = 1), record TEXT NOT NULL) STRICT;
      CREATE TABLE nodes (identity TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE tokens (hash TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE audit (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, event TEXT NOT NULL,
        subject TEXT NOT NULL, detail TEXT NOT NULL) STRICT;`)
    const network = { name: 'home', prefix4: '100.64.0.0/16', prefix6: 'fd00::/48', needsApproval: true }
    older.prepare('INSERT INTO network VALUES (1, ?)').run(JSON.stringify(network))
    older.prepare('INSERT INTO nodes VALUES (?, ?)').run('identity', JSON.stringify(nodeRecord(1)))
    older.exec('PRAGMA user_version = 1')
    older.close()
    const store = await openSqliteStore(path)
    expect(store.network()).toEqual({ ...network, needsConsent: false })
    expect(store.nodes()).toEqual([nodeRecord(1)])
    expect(store.consents()).toEqual([])
    store.close()
  })

  it('takes the rows of a file of before there were checksums as they are, once', async () => {
    const path = newFile()
    const store = await createSqliteStore(path)
    store.setNetwork(NETWORK)
    for (const number of [1, 2]) store.putNode(nodeRecord(number))
    store.setEpoch(7)
    store.putConsent({ giver: nodeRecord(1).identity, receiver: nodeRecord(2).identity })
    store.close()
    const older = (await loadSqlite())(path)
    for (const table of Object.keys(SEALED_TABLES)) older.exec(`ALTER TABLE ${table} DROP COLUMN checksum`)
    older.exec('PRAGMA user_version = 4')
    older.close()
    const copy = newFile()
    writeFileSync(copy, '')
    expect(await copySqliteStore(path, copy)).toEqual({ network: 'home', nodes: 2 })
    for (const file of [path, copy]) {
      const taken = await openSqliteStore(file)
      expect([taken.network(), taken.epoch(), taken.nodes().length]).toEqual([NETWORK, 7, 2])
      expect(taken.consents()).toHaveLength(1)
      taken.close()
      const changed = (await loadSqlite())(file)
      changed.exec('UPDATE epoch SET epoch = 8')
      changed.close()
      await expect(openSqliteStore(file)).rejects.toMatchObject({ fault: 'damaged' })
    }
  })
})
