import { beforeEach, describe, expect, it } from 'vitest'
import type { DirectoryMessage } from '../../../src/control/directory.js'
import { createTicket } from '../../../src/control/ticket.js'
import { HubDirectory } from '../../../src/relay/hub-directory.js'
import { testNode, WALL_MS } from '../../support/control.js'
import { IDENTITY as HUB } from '../../support/hub-world.js'

const [ALICE, BOB, CAROL] = [testNode(1).identity, testNode(2).identity, testNode(3).identity]
const [A, B, C] = [ALICE.text, BOB.text, CAROL.text]
const NOW_S: number = WALL_MS / 1000
const NOTHING = new Uint8Array(0)
const MESSAGE: DirectoryMessage = {
  type: 'directory',
  epoch: 100,
  atS: NOW_S,
  changed: [],
  removed: [],
  agreed: [],
  parted: [],
}

let nowMs: number
let directory: HubDirectory

function apply(more: Partial<DirectoryMessage>): string[] {
  return [...directory.apply({ ...MESSAGE, ...more })]
}

/** All of it in one message. */
function tell(
  nodes: Readonly<Record<string, readonly number[]>>,
  more: Partial<DirectoryMessage> = {},
): string[] {
  const changed = Object.entries(nodes).map(([identity, tags]) => ({ identity, tags }))
  return apply({ isFirst: true, needsConsent: false, isComplete: true, changed, ...more })
}

function ticket(identity: typeof ALICE, issuedAtS: number = NOW_S, epoch = 100): Uint8Array {
  return createTicket(HUB, identity.publicKey, { issuedAtS, epoch })
}

beforeEach(() => {
  nowMs = WALL_MS
  directory = new HubDirectory({ ticketKey: HUB.publicKey, wallNowMs: () => nowMs })
})

describe('a relay that hears its hub', () => {
  it('lets in who is in the directory, with or without a good ticket', () => {
    tell({ [A]: [] })
    expect(directory.mayEnter(ALICE.publicKey, NOTHING)).toBe(true)
    expect(directory.mayEnter(BOB.publicKey, ticket(BOB))).toBe(false)
  })

  it('lets nobody in, and nobody talk, before the hub has told all', () => {
    expect(directory.mayEnter(ALICE.publicKey, ticket(ALICE))).toBe(false)
    apply({ isFirst: true, needsConsent: false, changed: [{ identity: A, tags: [] }] })
    expect(directory.mayEnter(ALICE.publicKey, ticket(ALICE))).toBe(false)
    expect(directory.mayTalk(A, A)).toBe(false)
    expect(directory.isHeard).toBe(false)
    apply({ isComplete: true })
    expect(directory.mayEnter(ALICE.publicKey, NOTHING)).toBe(true)
  })

  it('puts out who is removed, and keeps it out with a ticket of before', () => {
    tell({ [A]: [], [B]: [] })
    expect(apply({ epoch: 101, removed: [B] })).toEqual([B])
    expect(directory.mayEnter(BOB.publicKey, ticket(BOB))).toBe(false)
    expect(directory.mayEnter(BOB.publicKey, ticket(BOB, NOW_S, 101))).toBe(false)
    expect(directory.mayTalk(A, B)).toBe(false)
  })

  it('lets in by a ticket of a later epoch whom it has not heard of yet, who talks when it has', () => {
    tell({ [A]: [] })
    expect(directory.mayEnter(BOB.publicKey, ticket(BOB, NOW_S, 101))).toBe(true)
    expect(directory.mayTalk(A, B)).toBe(false)
    apply({ epoch: 101, changed: [{ identity: B, tags: [] }] })
    expect(directory.mayTalk(A, B)).toBe(true)
  })

  it('lets talk who shares a tag or has none, both ways', () => {
    tell({ [A]: [1, 2], [B]: [2], [C]: [3] })
    expect([directory.mayTalk(A, B), directory.mayTalk(B, A)]).toEqual([true, true])
    expect(directory.mayTalk(A, C)).toBe(false)
    apply({ changed: [{ identity: C, tags: [] }] })
    expect(directory.mayTalk(A, C)).toBe(true)
    apply({ changed: [{ identity: B, tags: [4] }] })
    expect(directory.mayTalk(A, B)).toBe(false)
  })

  it('lets talk only who agreed where the network asks for consent', () => {
    tell({ [A]: [], [B]: [] }, { needsConsent: true })
    expect(directory.mayTalk(A, B)).toBe(false)
    apply({ agreed: [[B, A]] })
    expect(directory.mayTalk(A, B)).toBe(true)
    apply({ parted: [[A, B]] })
    expect(directory.mayTalk(A, B)).toBe(false)
  })

  it('puts out who is missing when the whole is told anew, at its end and not before', () => {
    tell({ [A]: [], [B]: [] })
    expect(apply({ isFirst: true, needsConsent: false, changed: [{ identity: A, tags: [] }] })).toEqual([])
    expect(directory.mayEnter(BOB.publicKey, NOTHING)).toBe(true)
    expect(apply({ isComplete: true })).toEqual([B])
    expect(directory.mayEnter(BOB.publicKey, NOTHING)).toBe(false)
  })
})

describe('a relay that does not hear its hub any more', () => {
  beforeEach(() => {
    tell({ [A]: [], [B]: [] })
    directory.handleSilence()
  })

  it('goes on with those it knew for as long as nobody shows that the hub lives', () => {
    nowMs += 20 * 86_400_000
    expect(directory.mayEnter(ALICE.publicKey, ticket(ALICE))).toBe(true)
    expect(directory.mayEnter(ALICE.publicKey, NOTHING)).toBe(true)
    expect(directory.mayTalk(A, B)).toBe(true)
    expect([...directory.expired()]).toEqual([])
  })

  it('lets nobody in whom it did not know, not even by a later ticket', () => {
    expect(directory.mayEnter(CAROL.publicKey, ticket(CAROL, NOW_S + 10, 200))).toBe(false)
  })

  it('puts out within an hour who gets no tickets any more while others do', () => {
    expect(directory.mayEnter(ALICE.publicKey, ticket(ALICE, NOW_S + 3600))).toBe(true)
    expect([...directory.expired()]).toEqual([])
    expect(directory.mayEnter(ALICE.publicKey, ticket(ALICE, NOW_S + 3601))).toBe(true)
    expect([...directory.expired()]).toEqual([B])
    expect(directory.mayEnter(BOB.publicKey, ticket(BOB))).toBe(false)
    expect(directory.mayEnter(BOB.publicKey, ticket(BOB, NOW_S + 100))).toBe(true)
  })

  it('is not led by a ticket of somebody else', () => {
    const forged = createTicket(ALICE, ALICE.publicKey, { issuedAtS: NOW_S + 99_999, epoch: 999 })
    expect(directory.mayEnter(ALICE.publicKey, forged)).toBe(true)
    expect([...directory.expired()]).toEqual([])
  })

  it('ends after 30 days', () => {
    nowMs += 31 * 86_400_000
    expect(directory.mayEnter(ALICE.publicKey, ticket(ALICE, NOW_S + 1))).toBe(false)
    expect([...directory.expired()].sort()).toEqual([A, B].sort())
  })

  it('believes the hub when it comes back, also where its clock went back', () => {
    directory.mayEnter(ALICE.publicKey, ticket(ALICE, NOW_S + 9999))
    tell({ [B]: [] }, { epoch: 300, atS: NOW_S - 500 })
    directory.handleSilence()
    expect([...directory.expired()]).toEqual([])
    expect(directory.mayEnter(ALICE.publicKey, ticket(ALICE, NOW_S + 9999))).toBe(false)
  })

  it('goes on after a restart of its own', () => {
    const stored = directory.toStored()
    directory = new HubDirectory({ ticketKey: HUB.publicKey, wallNowMs: () => nowMs })
    expect(directory.toStored()).toBeUndefined()
    if (stored !== undefined) directory.restore(stored)
    expect(directory.toStored()).toEqual(stored)
    expect(directory.mayEnter(ALICE.publicKey, NOTHING)).toBe(true)
    expect(directory.mayTalk(A, B)).toBe(true)
    expect(directory.mayTalk(A, C)).toBe(false)
  })
})
