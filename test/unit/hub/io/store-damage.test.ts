/** What is left of a hub's store when its process is killed, or its machine loses power, or its file is cut. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadSqlite } from '../../../../src/hub/io/sqlite-driver.js'
import { copySqliteStore, createSqliteStore, openSqliteStore } from '../../../../src/hub/io/sqlite-store.js'
import type { Store } from '../../../../src/hub/store.js'
import { StoreError } from '../../../../src/hub/store-error.js'
import { seededRandom } from '../../../support/seeded-random.js'
import { NETWORK, nodeRecord } from '../../../support/store-suite.js'

const ROOT = new URL('../../../../', import.meta.url)
const WRITER = fileURLToPath(new URL('test/support/store-writer.mjs', ROOT))
const MODULE = new URL('dist/hub/io/sqlite-store.js', ROOT).href

const WORDS = / is (empty or damaged|damaged: a row of its table "[a-z]+" has changed)$/

const directory = mkdtempSync(join(tmpdir(), 'overlay-damage-'))
let files = 0
afterAll(() => rmSync(directory, { recursive: true, force: true }))

function newFile(): string {
  files += 1
  return join(directory, `${files}.db`)
}

async function withNetwork(path: string): Promise<Store> {
  const store = await createSqliteStore(path)
  store.setNetwork(NETWORK)
  return store
}

/** Undefined if it is refused as what it is. */
async function openOrRefuse(path: string): Promise<Store | undefined> {
  try {
    return await openSqliteStore(path)
  } catch (error) {
    expect(error).toBeInstanceOf(StoreError)
    expect(error).toMatchObject({ fault: 'damaged' })
    expect((error as StoreError).message).toMatch(WORDS)
    expect((error as StoreError).message).toContain(`the store ${path} is `)
    return undefined
  }
}

/** All nodes of one transaction, and of its audit record. */
function roundOf(store: Store): number {
  const names = new Set(store.nodes().map(({ name }) => name))
  expect(names.size).toBeLessThanOrEqual(1)
  const round = Number([...names][0]?.split('-')[1] ?? 0)
  expect(Number(store.audit(1)[0]?.subject ?? 0)).toBe(round)
  return round
}

describe('a store that was written when its process was killed', () => {
  it.each([20, 60, 150])('has every transaction whole, and all that were done (%i ms)', async (lifeMs) => {
    const path = newFile()
    const store = await withNetwork(path)
    store.close()
    const writer = spawn(process.execPath, [WRITER, MODULE, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    let told = ''
    writer.stdout.on('data', (chunk: Buffer) => {
      told += chunk.toString()
    })
    await Promise.race([once(writer.stdout, 'data'), once(writer, 'exit')])
    expect(writer.exitCode).toBeNull()
    setTimeout(() => writer.kill('SIGKILL'), lifeMs)
    await once(writer, 'close')
    const done = Number(told.trim().split('\n').at(-1))
    expect(done).toBeGreaterThan(0)
    const reopened = await openSqliteStore(path)
    expect(roundOf(reopened) - done).toBeOneOf([0, 1])
    reopened.close()
  })
})

describe('a store whose machine lost power', () => {
  /** Main file and write-ahead log as they were after each transaction, all of them since the last checkpoint. */
  const master = newFile()
  let done = 0

  beforeAll(async () => {
    const store = await withNetwork(master)
    for (; done < 20; done++) {
      store.transaction(() => {
        for (let number = 1; number <= 10; number++) {
          store.putNode(nodeRecord(number, { name: `round-${done + 1}` }))
        }
        store.appendAudit({ atMs: 0, event: 'round', subject: String(done + 1), detail: '' })
      })
    }
    for (const end of ['', '-wal']) copyFileSync(`${master}${end}`, `${master}.kept${end}`)
    store.close()
  })

  it('has whole transactions wherever the log breaks off, or is refused', async () => {
    const sizeBytes = statSync(`${master}.kept-wal`).size
    expect(sizeBytes).toBeGreaterThan(50_000)
    const random = seededRandom(7)
    const rounds: number[] = []
    for (let cut = 0; cut < 60; cut++) {
      const path = newFile()
      for (const end of ['', '-wal']) copyFileSync(`${master}.kept${end}`, `${path}${end}`)
      const [high = 0, low = 0] = random(2)
      truncateSync(`${path}-wal`, Math.floor((sizeBytes * (high * 256 + low)) / 65_536))
      const store = await openOrRefuse(path)
      if (store === undefined) continue
      rounds.push(roundOf(store))
      store.close()
    }
    expect(new Set(rounds).size).toBeGreaterThan(5)
    expect(Math.max(...rounds)).toBeLessThanOrEqual(done)
  })
})

describe('a store that was damaged', () => {
  const master = newFile()
  const nodes = Array.from({ length: 200 }, (_, index) => nodeRecord(index + 1)).sort((one, other) =>
    one.identity < other.identity ? -1 : 1,
  )
  const removal = { identity: 'removed', name: 'removed', atMs: 1 }

  beforeAll(async () => {
    const store = await withNetwork(master)
    for (const node of nodes) store.putNode(node)
    store.putToken({ hash: 'x', nodeName: '', tags: [], usesLeft: 1, expiresAtMs: 1, isEphemeral: false })
    store.putRemoval(removal)
    store.setEpoch(77)
    store.close()
  })

  /** Where text of the store is otherwise well-formed, with one byte of it changed. */
  it.each([
    ['the name of a node', 'nodes', '"name":"node-7"', '"name":"node-9"'],
    ['a tag', 'nodes', '"tags":["lab"]', '"tags":["lob"]'],
    ['what is left of a token', 'tokens', '"usesLeft":1', '"usesLeft":9'],
    ['whether nodes need approval', 'network', '"needsApproval":true', '"needsApproval":null'],
    ['who was removed', 'removals', '"name":"removed"', '"name":"remaved"'],
  ])('is refused when %s changed and still reads well, also by a backup', async (_, table, from, to) => {
    const path = newFile()
    const bytes = readFileSync(master)
    expect(bytes.indexOf(from)).toBeGreaterThan(0)
    // Pages that SQLite has done with may hold it, too.
    for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1)) bytes.write(to, at)
    writeFileSync(path, bytes)
    const refusal = {
      fault: 'damaged',
      message: `the store ${path} is damaged: a row of its table "${table}" has changed`,
      hint: `restore a backup: overlay hub restore FILE --state ${directory}`,
    }
    await expect(openSqliteStore(path)).rejects.toMatchObject(refusal)
    const copy = newFile()
    writeFileSync(copy, '')
    await expect(copySqliteStore(path, copy)).rejects.toMatchObject(refusal)
  })

  it('is refused when its epoch is another, or a row is in the place of another', async () => {
    for (const change of [
      'UPDATE epoch SET epoch = 78',
      "UPDATE nodes SET identity = 'another' WHERE record LIKE '%\"node-7\"%'",
    ]) {
      const path = newFile()
      copyFileSync(master, path)
      const database = (await loadSqlite())(path)
      database.exec(change)
      database.close()
      expect(await openOrRefuse(path)).toBeUndefined()
    }
  })

  it('is refused wherever it is cut', async () => {
    const sizeBytes = statSync(master).size
    for (let cut = 0; cut < 40; cut++) {
      const path = newFile()
      copyFileSync(master, path)
      truncateSync(path, Math.floor((sizeBytes * cut) / 40))
      expect(await openOrRefuse(path)).toBeUndefined()
    }
  })

  it('is refused, or whole, wherever bytes of it changed', async () => {
    const bytes = readFileSync(master)
    const random = seededRandom(11)
    let refused = 0
    for (let change = 0; change < 60; change++) {
      const path = newFile()
      const changed = Buffer.from(bytes)
      const [high = 0, low = 0] = random(2)
      const at = Math.floor(((bytes.length - 32) * (high * 256 + low)) / 65_536)
      changed.set(random(32), at)
      writeFileSync(path, changed)
      const store = await openOrRefuse(path)
      if (store === undefined) {
        refused += 1
        continue
      }
      expect(store.nodes()).toEqual(nodes)
      store.close()
    }
    expect(refused).toBeGreaterThan(20)
  })

  it.each([
    ['empty', ''],
    ['of something else', 'this is no database, and long enough to be looked at'.repeat(100)],
  ])('is refused when it is %s, with what helps', async (_, content) => {
    const path = newFile()
    writeFileSync(path, content)
    await expect(openSqliteStore(path)).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: `the store ${path} is empty or damaged`,
      hint: `restore a backup: overlay hub restore FILE --state ${directory}`,
    })
    expect(readFileSync(path, 'utf8')).toBe(content)
  })

  it('is refused when it is gone, or a database without a network', async () => {
    const path = newFile()
    await expect(openSqliteStore(path)).rejects.toMatchObject({ fault: 'damaged' })
    const database = (await loadSqlite())(path)
    database.exec('CREATE TABLE words (word TEXT)')
    database.close()
    await expect(openSqliteStore(path)).rejects.toMatchObject({ fault: 'damaged' })
    const unfinished = newFile()
    const store = await createSqliteStore(unfinished)
    store.close()
    await expect(openSqliteStore(unfinished)).rejects.toMatchObject({ fault: 'damaged' })
  })
})

describe('a store whose file was taken away', () => {
  it('takes no change that would be lost', async () => {
    const path = newFile()
    const store = await withNetwork(path)
    const change = () => store.transaction(() => store.putNode(nodeRecord(1)))
    renameSync(path, `${path}.away`)
    expect(change).toThrow(expect.objectContaining({ message: expect.stringContaining('was removed') }))
    writeFileSync(path, 'another')
    expect(change).toThrow(StoreError)
    renameSync(`${path}.away`, path)
    change()
    expect(store.nodes()).toHaveLength(1)
    store.close()
  })
})

describe('a store that another program holds', () => {
  it('says so, changes nothing, and works again afterwards', async () => {
    const path = newFile()
    const store = await withNetwork(path)
    const other = (await loadSqlite())(path)
    other.exec('BEGIN IMMEDIATE')
    expect(() => store.putNode(nodeRecord(1))).toThrow(
      expect.objectContaining({ fault: 'locked', hint: expect.stringContaining(path) }),
    )
    expect(store.nodes()).toEqual([])
    // A hub can start meanwhile.
    const second = await openSqliteStore(path)
    second.close()
    other.exec('ROLLBACK')
    other.close()
    store.putNode(nodeRecord(1))
    expect(store.nodes()).toHaveLength(1)
    store.close()
  })
})
