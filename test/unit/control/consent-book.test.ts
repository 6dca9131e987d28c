import { beforeEach, describe, expect, it } from 'vitest'
import { ConsentBook } from '../../../src/control/consent-book.js'
import {
  type AskingNode,
  type ConsentMessage,
  MAX_ASKING,
  MAX_CONSENTS,
  type Welcome,
} from '../../../src/control/messages.js'
import { infoOf, prefixOf, testNode } from '../../support/control.js'

const ALICE = { identity: testNode(1).identity.text, name: 'alice' }
const WELCOME: Welcome = {
  type: 'welcome',
  network: 'home',
  prefix4: '100.64.0.0/16',
  prefix6: 'fd12:3456:789a::/48',
  name: 'own',
  v4: '100.64.0.1',
  v6: 'fd12:3456:789a::1',
  relays: [],
  stun: [],
  ticket: '',
}

let book: ConsentBook

beforeEach(() => {
  book = new ConsentBook()
  book.handleWelcome({ ...WELCOME, needsConsent: true })
})

const asks = (direction: AskingNode['direction'], node = ALICE): AskingNode => ({ ...node, direction })

function hear(changed: AskingNode[], more: { removed?: string[]; isFirst?: boolean } = {}): ConsentMessage[] {
  return book.handleAsking({ type: 'asking', changed, removed: [], ...more })
}

describe('a book of consents', () => {
  it('welcomes everybody until a network asked for consent, and then never again', () => {
    const fresh = new ConsentBook()
    fresh.handleWelcome(WELCOME)
    expect([fresh.isNeeded, fresh.isWelcome(ALICE.identity)]).toEqual([false, true])
    expect(fresh.handleAsking({ type: 'asking', changed: [asks('theirs')], removed: [] })).toEqual([])
    expect(fresh.asking).toEqual([])
    book.handleWelcome(WELCOME)
    expect([book.isNeeded, book.isWelcome(ALICE.identity)]).toEqual([true, false])
    fresh.restore(book.toStored())
    expect([fresh.isNeeded, fresh.isWelcome(ALICE.identity)]).toEqual([true, false])
  })

  it('knows who asks, as the hub said last', () => {
    const other = { identity: testNode(2).identity.text, name: 'bob' }
    hear([asks('none'), asks('none', other)], { isFirst: true })
    hear([asks('theirs')])
    expect(book.asking).toEqual([asks('theirs'), asks('none', other)])
    hear([], { removed: [ALICE.identity] })
    expect(book.asking).toEqual([asks('none', other)])
    hear([asks('none')], { isFirst: true })
    expect(book.asking).toEqual([asks('none')])
  })

  it('holds as many as it may, and forgets one who did not ask for one who does', () => {
    const node = (i: number): { identity: string; name: string } => ({ identity: `${i}`, name: `n${i}` })
    for (let i = 0; i < MAX_ASKING; i++) hear([asks('none', node(i))])
    hear([asks('none')])
    expect(book.asking).not.toContainEqual(asks('none'))
    hear([asks('theirs')])
    expect(book.asking).toHaveLength(MAX_ASKING)
    expect(book.asking).toContainEqual(asks('theirs'))
    for (let i = 0; i < MAX_ASKING; i++) hear([asks('theirs', node(i))])
    expect(book.asking).toHaveLength(MAX_ASKING)
  })

  it('tells the hub once a session where it is wrong about this node, and no more', () => {
    expect(hear([asks('ours')])).toEqual([{ type: 'consent', identity: ALICE.identity, isGiven: false }])
    expect(hear([asks('ours')])).toEqual([])
    const nodes = { type: 'nodes', removed: [] } as const
    const changed = [infoOf(testNode(1), prefixOf(WELCOME.prefix6))]
    expect(book.handleNodes({ ...nodes, changed })).toEqual([])
    book.handleWelcome(WELCOME)
    expect(book.handleNodes({ ...nodes, changed })).toHaveLength(1)
    book.give(ALICE)
    expect(hear([asks('theirs')])).toEqual([])
    book.handleWelcome(WELCOME)
    expect(hear([asks('theirs')])).toEqual([{ type: 'consent', identity: ALICE.identity, isGiven: true }])
    expect(hear([asks('ours')])).toEqual([])
  })

  it('keeps to whom this node said yes', () => {
    expect(book.give(ALICE)).toEqual({ type: 'consent', identity: ALICE.identity, isGiven: true })
    const later = new ConsentBook()
    later.restore(JSON.parse(JSON.stringify(book.toStored())))
    expect([later.given, later.isWelcome(ALICE.identity)]).toEqual([[ALICE], true])
    expect(later.revoke(ALICE, true)).toEqual({ type: 'consent', identity: ALICE.identity, isGiven: false })
    expect([later.given, later.isWelcome(ALICE.identity)]).toEqual([[], false])
    expect(later.asking).toEqual([asks('theirs')])
    for (let i = 0; i < MAX_CONSENTS; i++) later.give({ identity: `${i}`, name: `n${i}` })
    expect([later.canGive(ALICE.identity), later.canGive('0')]).toEqual([false, true])
    expect(later.give({ identity: '0', name: 'n0' })).toBeDefined()
  })
})
