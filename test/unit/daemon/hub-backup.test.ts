/** A hub's backup, from its user's side: one file, taken while the hub runs or not, that brings all of it back. */

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { backupHub } from '../../../src/daemon/hub-backup.js'
import { initHub } from '../../../src/daemon/hub-init.js'
import { HubKeyring } from '../../../src/daemon/hub-keyring.js'
import { restoreHub } from '../../../src/daemon/hub-restore.js'
import { type RestorePlan, readRestore } from '../../../src/daemon/hub-restore-plan.js'
import { type HubPaths, hubPaths, readHubSecrets, readHubSettings } from '../../../src/daemon/hub-state.js'
import { loadSqlite } from '../../../src/hub/io/sqlite-driver.js'
import { openSqliteStore } from '../../../src/hub/io/sqlite-store.js'
import type { TokenRecord } from '../../../src/hub/store.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { prefixOf, WALL_MS } from '../../support/control.js'
import { nodeRecord } from '../../support/store-suite.js'

const root = mkdtempSync(join(tmpdir(), 'overlay-backup-'))
let directories = 0
afterAll(() => rmSync(root, { recursive: true, force: true }))

const SETTINGS = { address: '192.0.2.7', port: 443, stunPort: 3478, stunAddresses: [], relays: [] }
const NETWORK = { name: 'home', needsApproval: false, needsConsent: false, range: prefixOf('100.70.0.0/16') }
const TOKEN: TokenRecord = {
  hash: 'aGFzaA==',
  nodeName: '',
  tags: [],
  usesLeft: 1,
  expiresAtMs: WALL_MS,
  isEphemeral: false,
}
const AS_IS = { keepsTokens: false, isForced: false }

let hub: HubPaths
let file = ''

function newDirectory(): string {
  directories += 1
  return join(root, `${directories}`)
}

beforeEach(async () => {
  hub = hubPaths(newDirectory())
  await initHub(hub, SETTINGS, NETWORK)
  const store = await openSqliteStore(hub.store)
  store.putNode(nodeRecord(1))
  store.putNode(nodeRecord(2))
  store.putToken(TOKEN)
  store.close()
  file = join(root, `backup-${directories}`)
})

const keyOf = (paths: HubPaths) => readHubSecrets(paths, nodeCrypto).session.publicKey

function filesOf(paths: HubPaths): string[] {
  return readdirSync(paths.directory)
    .sort()
    .map((name) => `${name} ${readFileSync(join(paths.directory, name)).toString('hex')}`)
}

async function contentOf(paths: HubPaths) {
  const store = await openSqliteStore(paths.store)
  const content = {
    network: store.network(),
    nodes: store.nodes(),
    tokens: store.tokens(),
    latest: store.audit(1)[0],
  }
  store.close()
  return content
}

describe('a backup of a hub', () => {
  it('is one file for its owner alone, and replaces none', async () => {
    const result = await backupHub(hub, file, false)
    expect(result).toMatchObject({ path: file, network: 'home', nodes: 2 })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const before = readFileSync(file)
    await expect(backupHub(hub, file, false)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: `there is a file ${file} already`,
      hint: expect.stringContaining('--force'),
    })
    expect(readFileSync(file)).toEqual(before)
    await backupHub(hub, file, true)
    expect(readdirSync(root).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })

  it('is taken while the hub runs, and while somebody else writes', async () => {
    const running = await openSqliteStore(hub.store)
    running.putNode(nodeRecord(3))
    const writer = (await loadSqlite())(hub.store)
    writer.exec('BEGIN IMMEDIATE')
    expect(await backupHub(hub, file, false)).toMatchObject({ nodes: 3 })
    writer.exec('ROLLBACK')
    writer.close()
    running.close()
  })

  it('is not made of a hub that could not be brought back', async () => {
    truncateSync(hub.store, 5000)
    await expect(backupHub(hub, file, false)).rejects.toMatchObject({ fault: 'damaged' })
    rmSync(hub.certificate)
    await expect(backupHub(hub, file, false)).rejects.toMatchObject({
      message: expect.stringContaining('hub.pem'),
    })
    expect(existsSync(file)).toBe(false)
  })

  it('names a place that cannot be written', async () => {
    await expect(backupHub(hub, join(root, 'nowhere', 'file'), false)).rejects.toMatchObject({
      message: `cannot write a backup to ${join(root, 'nowhere', 'file')}: ENOENT`,
    })
  })
})

describe('a restored hub', () => {
  it('is the same hub on a new machine: key, certificate, settings and nodes', async () => {
    await backupHub(hub, file, false)
    const there = hubPaths(newDirectory())
    const result = await restoreHub(there, { path: file, ...AS_IS })
    expect(result).toMatchObject({
      plan: { network: 'home', settings: SETTINGS, tokens: 1, key: 'unknown' },
      asideIn: undefined,
    })
    expect(result.plan.nodes).toEqual([nodeRecord(1), nodeRecord(2)])
    expect(keyOf(there)).toEqual(keyOf(hub))
    expect(readHubSettings(there)).toEqual(SETTINGS)
    for (const path of [there.key, there.certificate, there.settings, there.store]) {
      expect(statSync(path).mode & 0o777).toBe(0o600)
    }
    expect(statSync(there.directory).mode & 0o777).toBe(0o700)
    expect(readdirSync(there.directory).sort()).toEqual(['hub.db', 'hub.json', 'hub.key', 'hub.pem'])
  })

  it('takes no token of then, unless somebody wants it, and records that it was restored', async () => {
    await backupHub(hub, file, false)
    const [revoked, kept] = [hubPaths(newDirectory()), hubPaths(newDirectory())]
    await restoreHub(revoked, { path: file, ...AS_IS })
    expect(await contentOf(revoked)).toMatchObject({
      network: { name: 'home' },
      tokens: [],
      latest: { event: 'hub.restored', detail: expect.stringContaining('1 tokens revoked') },
    })
    await restoreHub(kept, { path: file, keepsTokens: true, isForced: false })
    expect((await contentOf(kept)).tokens).toEqual([TOKEN])
  })

  it('takes the place of one whose store is damaged, and deletes nothing of it', async () => {
    await backupHub(hub, file, false)
    writeFileSync(hub.store, '')
    const { asideIn = '' } = await restoreHub(hub, { path: file, ...AS_IS })
    expect(readdirSync(asideIn).sort()).toEqual(['hub.db', 'hub.json', 'hub.key', 'hub.pem'])
    expect((await contentOf(hub)).nodes).toHaveLength(2)
  })

  it.each(['hub.json', 'hub.pem', 'hub.key'])(
    'takes the place of one whose %s is lost or damaged',
    async (name) => {
      await backupHub(hub, file, false)
      const path = join(hub.directory, name)
      for (const harm of [() => rmSync(path), () => writeFileSync(path, 'harm')]) {
        harm()
        expect(() => [readHubSettings(hub), readHubSecrets(hub, nodeCrypto)]).toThrow(path)
        expect((await readRestore(hub, file)).plan.obstacle).toBeUndefined()
        await restoreHub(hub, { path: file, ...AS_IS })
        expect((await contentOf(hub)).nodes).toHaveLength(2)
      }
    },
  )

  it('does not take the place of a sound one, or of another, by accident', async () => {
    await backupHub(hub, file, false)
    await expect(restoreHub(hub, { path: file, ...AS_IS })).rejects.toMatchObject({
      message: expect.stringContaining('is sound'),
      hint: expect.stringContaining('--force'),
    })
    const other = hubPaths(newDirectory())
    await initHub(other, SETTINGS, { ...NETWORK, name: 'office' })
    await expect(restoreHub(other, { path: file, ...AS_IS })).rejects.toMatchObject({
      message: `there is another hub in ${other.directory}`,
    })
    expect((await contentOf(other)).network).toMatchObject({ name: 'office' })
    const { asideIn } = await restoreHub(other, { path: file, keepsTokens: false, isForced: true })
    expect((await contentOf(other)).network).toMatchObject({ name: 'home' })
    expect(asideIn).toContain(other.directory)
  })

  it('keeps a key that came after it, and needs no force for that', async () => {
    await backupHub(hub, file, false)
    const before = keyOf(hub)
    new HubKeyring(hub, nodeCrypto, () => WALL_MS).rotate(60)
    const after = keyOf(hub)
    expect(after).not.toEqual(before)
    truncateSync(hub.store)
    expect(await restoreHub(hub, { ...AS_IS, path: file })).toMatchObject({ plan: { key: 'later' } })
    expect(keyOf(hub)).toEqual(after)
    expect((await contentOf(hub)).nodes).toHaveLength(2)
    expect(await restoreHub(hub, { ...AS_IS, path: file, isForced: true })).toMatchObject({
      plan: { key: 'later' },
    })
    expect(keyOf(hub)).toEqual(after)
    const elsewhere = hubPaths(newDirectory())
    expect(await restoreHub(elsewhere, { ...AS_IS, path: file })).toMatchObject({ plan: { key: 'unknown' } })
    expect(keyOf(elsewhere)).toEqual(before)
  })

  it('tells what comes back and what is lost before anything is changed, and whether it is or not', async () => {
    await backupHub(hub, file, false)
    const store = await openSqliteStore(hub.store)
    store.deleteNode(nodeRecord(2).identity)
    store.putNode(nodeRecord(3))
    store.close()
    const before = filesOf(hub)
    const plans: RestorePlan[] = []
    const request = { ...AS_IS, path: file }
    const onPlan = (plan: RestorePlan): void => {
      expect(filesOf(hub)).toEqual(before)
      plans.push(plan)
    }
    await expect(restoreHub(hub, { ...request, onPlan })).rejects.toMatchObject({ code: 'ALREADY_RUNNING' })
    expect(filesOf(hub)).toEqual(before)
    await restoreHub(hub, { ...request, onPlan, isForced: true })
    expect(plans).toHaveLength(2)
    for (const plan of plans) {
      expect(plan).toMatchObject({
        key: 'same',
        tokens: 1,
        since: { gone: ['node-2'], joined: ['node-3'] },
        obstacle: { message: expect.stringContaining('is sound') },
      })
    }
  })

  it('knows no more of what came after than a store that can be read, and says which key is which', async () => {
    await backupHub(hub, file, false)
    writeFileSync(hub.store, '')
    const { plan } = await readRestore(hub, file)
    expect(plan).toMatchObject({ key: 'same', since: undefined, obstacle: undefined })
    const other = hubPaths(newDirectory())
    await initHub(other, SETTINGS, NETWORK)
    expect((await readRestore(other, file)).plan).toMatchObject({ key: 'other', since: undefined })
    const nowhere = hubPaths(newDirectory())
    await readRestore(nowhere, file)
    expect(existsSync(nowhere.directory)).toBe(false)
  })

  it('can be restored again when that broke off, at whatever step', async () => {
    await backupHub(hub, file, false)
    const there = hubPaths(newDirectory())
    mkdirSync(there.directory)
    for (const left of [`${there.store}.tmp`, `${there.store}.tmp-wal`, there.store, there.settings]) {
      writeFileSync(left, 'left behind')
    }
    await restoreHub(there, { path: file, ...AS_IS })
    expect((await contentOf(there)).nodes).toHaveLength(2)
  })

  it.each([
    ['cut', (text: string) => text.slice(0, -100)],
    ['changed', (text: string) => text.replace('192.0.2.7', '192.0.2.8')],
    ['something else', () => 'no backup'],
    ['empty', () => ''],
  ])('is not made from a file that is %s', async (_, damage) => {
    await backupHub(hub, file, false)
    writeFileSync(file, damage(readFileSync(file, 'utf8')))
    const there = hubPaths(newDirectory())
    await expect(restoreHub(there, { path: file, ...AS_IS })).rejects.toMatchObject({
      message: `${file} is no backup of a hub, or a damaged one`,
    })
    expect(existsSync(there.directory)).toBe(false)
  })
})

describe('the state of a hub', () => {
  it('names what is missing, and the way out of it', async () => {
    rmSync(hub.certificate)
    expect(() => readHubSecrets(hub, nodeCrypto)).toThrow(
      expect.objectContaining({
        message: `${hub.certificate} is missing`,
        hint: `restore a backup: overlay hub restore FILE --state ${hub.directory}`,
      }),
    )
    const nowhere = hubPaths(newDirectory())
    expect(() => readHubSettings(nowhere)).toThrow(
      expect.objectContaining({
        hint: `make one: overlay hub --state ${nowhere.directory} init NETWORK --address HOST`,
      }),
    )
  })

  it('is not made anew over a store that lost its key', async () => {
    rmSync(hub.key)
    await expect(initHub(hub, SETTINGS, NETWORK)).rejects.toMatchObject({
      message: `there is a store of a hub in ${hub.directory}, and no key to it`,
      hint: expect.stringContaining('overlay hub restore FILE'),
    })
    expect((await contentOf(hub)).nodes).toHaveLength(2)
  })

  it('is made after an init that broke off', async () => {
    const there = hubPaths(newDirectory())
    mkdirSync(there.directory)
    for (const left of [there.certificate, there.settings]) writeFileSync(left, 'left behind')
    await initHub(there, SETTINGS, NETWORK)
    expect((await contentOf(there)).network).toMatchObject({ name: 'home' })
  })
})
