/** What every store of a hub does, whichever driver it is. */

import { expect, it } from 'vitest'
import type { NetworkRecord, NodeRecord, Store, TokenRecord } from '../../src/hub/store.js'
import { testNode, WALL_MS } from './control.js'

export function nodeRecord(number: number, more: Partial<NodeRecord> = {}): NodeRecord {
  const { identity, tunnelKey } = testNode(number)
  return {
    identity: identity.text,
    name: `node-${number}`,
    v4: `100.64.0.${number}`,
    tunnelKey,
    tags: ['lab'],
    state: 'approved',
    isEphemeral: false,
    createdAtMs: WALL_MS,
    lastSeenMs: WALL_MS,
    ...more,
  }
}

export const NETWORK: NetworkRecord = {
  name: 'home',
  prefix4: '100.64.0.0/16',
  prefix6: 'fd00::/48',
  needsApproval: true,
  needsConsent: true,
}

const TOKEN: TokenRecord = {
  hash: 'aGFzaA==',
  nodeName: '',
  tags: [],
  usesLeft: 3,
  expiresAtMs: WALL_MS + 1000,
  isEphemeral: true,
}

/** `open`: a new, empty one each time. */
export function describeStore(open: () => Promise<Store>): void {
  it('keeps network, nodes and tokens as they were put last', async () => {
    const store = await open()
    expect([store.network(), store.nodes(), store.tokens()]).toEqual([undefined, [], []])
    store.setNetwork({ ...NETWORK, needsApproval: false })
    store.setNetwork(NETWORK)
    store.putNode(nodeRecord(1))
    store.putNode(nodeRecord(2))
    store.putNode(nodeRecord(1, { name: 'renamed' }))
    store.putToken(TOKEN)
    store.putToken({ ...TOKEN, usesLeft: 2 })
    expect(store.network()).toEqual(NETWORK)
    expect([...store.nodes()].map(({ name }) => name).sort()).toEqual(['node-2', 'renamed'])
    expect(store.nodes()).toContainEqual(nodeRecord(2))
    expect(store.tokens()).toEqual([{ ...TOKEN, usesLeft: 2 }])
    expect(store.findToken(TOKEN.hash)).toEqual({ ...TOKEN, usesLeft: 2 })
    expect(store.findToken('never there')).toBeUndefined()
    store.deleteNode(nodeRecord(2).identity)
    store.deleteToken(TOKEN.hash)
    store.deleteToken('never there')
    expect(store.nodes()).toHaveLength(1)
    expect(store.tokens()).toEqual([])
    store.close()
  })

  it('keeps the epoch, and who was removed when', async () => {
    const store = await open()
    expect([store.epoch(), store.removals()]).toEqual([0, []])
    store.setEpoch(WALL_MS)
    store.setEpoch(WALL_MS + 1)
    const removal = { identity: nodeRecord(1).identity, name: 'node-1', atMs: WALL_MS }
    store.putRemoval({ ...removal, name: 'before' })
    store.putRemoval(removal)
    store.deleteRemoval('never there')
    expect([store.epoch(), store.removals()]).toEqual([WALL_MS + 1, [removal]])
    store.deleteRemoval(removal.identity)
    expect(store.removals()).toEqual([])
    store.close()
  })

  it('keeps who said yes to whom, as long as both are there', async () => {
    const store = await open()
    const [a = '', b = '', c = ''] = [1, 2, 3].map((number) => nodeRecord(number).identity)
    for (const number of [1, 2, 3]) store.putNode(nodeRecord(number))
    expect(store.consents()).toEqual([])
    for (const [giver, receiver] of [
      [a, b],
      [a, b],
      [b, a],
      [c, b],
      [a, c],
    ] as const) {
      store.putConsent({ giver, receiver })
    }
    expect(store.consents()).toHaveLength(4)
    store.deleteConsent({ giver: b, receiver: a })
    store.deleteConsent({ giver: b, receiver: c })
    expect(store.consents()).toHaveLength(3)
    expect(store.consents()).toContainEqual({ giver: a, receiver: b })
    store.deleteNode(b)
    expect(store.consents()).toEqual([{ giver: a, receiver: c }])
    store.close()
  })

  it('gives the latest of its record first', async () => {
    const store = await open()
    for (const subject of ['a', 'b', 'c']) {
      store.appendAudit({ atMs: WALL_MS, event: 'node.enrolled', subject, detail: '' })
    }
    expect(store.audit(2).map(({ subject }) => subject)).toEqual(['c', 'b'])
    store.close()
  })

  it('lets no node wash out of its record what others did, what it did before, or what was decided', async () => {
    const store = await open()
    const append = (event: string, subject: string, detail = ''): void =>
      store.appendAudit({ atMs: WALL_MS, event, subject, detail })
    append('node.removed', 'carol')
    append('node.enrolled', 'bob')
    append('node.enrolled', 'mallory')
    store.transaction(() => {
      for (let i = 0; i < 1900; i++) append('node.key_changed', 'mallory', String(i))
    })
    append('token.created', '')
    const record = store.audit(1000)
    expect(record).toHaveLength(54)
    expect(record[0]).toMatchObject({ event: 'token.created' })
    expect(record[1]).toMatchObject({ event: 'node.key_changed', detail: '1899' })
    expect(record.slice(-3).map(({ event, subject }) => `${event} ${subject}`)).toEqual([
      'node.enrolled mallory',
      'node.enrolled bob',
      'node.removed carol',
    ])
    store.close()
  })

  it('gives what a transaction gives, also of one within another', async () => {
    const store = await open()
    const result = store.transaction(() =>
      store.transaction(() => {
        store.putNode(nodeRecord(1))
        return 7
      }),
    )
    expect([result, store.nodes().length]).toEqual([7, 1])
    store.close()
  })
}
