import { describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../../src/control/identity.js'
import { createSuccession, tryOpenSuccession } from '../../../src/control/succession.js'
import { createTicket, tryOpenTicket } from '../../../src/control/ticket.js'
import { TicketKeys } from '../../../src/relay/ticket-keys.js'
import { countingBytes } from '../../support/hex.js'

const [OLD, NEW, NEWER, NODE] = [1, 2, 3, 4].map((n) => identityFromSeed(countingBytes(32, n)))
if (OLD === undefined || NEW === undefined || NEWER === undefined || NODE === undefined) throw new Error()
const TERMS = { issuedAtS: 1000, epoch: 7 }
const UNTIL_S = 2000
const PROOF = createSuccession(OLD, { key: NEW.publicKey, untilS: UNTIL_S })

describe('the change of a hub’s signing key', () => {
  it('is what the old key signed, and nothing else', () => {
    expect(tryOpenSuccession(OLD.publicKey, PROOF)).toEqual({ key: NEW.publicKey, untilS: UNTIL_S })
    expect(tryOpenSuccession(NEW.publicKey, PROOF)).toBeUndefined()
    for (let at = 0; at < PROOF.length; at += 7) {
      const damaged = PROOF.slice()
      damaged[at] = (damaged[at] ?? 0) ^ 1
      expect(tryOpenSuccession(OLD.publicKey, damaged)).toBeUndefined()
    }
    expect(tryOpenSuccession(OLD.publicKey, PROOF.subarray(1))).toBeUndefined()
  })

  it('lets a relay that knows the old key open tickets of the new one', () => {
    const ticket = createTicket(NEW, NODE.publicKey, TERMS, PROOF)
    expect(tryOpenTicket(OLD.publicKey, ticket, NODE.publicKey)).toMatchObject({
      ...TERMS,
      succession: { untilS: UNTIL_S },
    })
    expect(tryOpenTicket(NEW.publicKey, ticket, NODE.publicKey)).toEqual(TERMS)
    expect(tryOpenTicket(NEWER.publicKey, ticket, NODE.publicKey)).toBeUndefined()
    expect(
      tryOpenTicket(OLD.publicKey, createTicket(NEW, NODE.publicKey, TERMS), NODE.publicKey),
    ).toBeUndefined()
    expect(
      tryOpenTicket(OLD.publicKey, createTicket(NEWER, NODE.publicKey, TERMS, PROOF), NODE.publicKey),
    ).toBeUndefined()
  })

  it('makes the old key good for nothing after the overlap', () => {
    let nowMs = 1_500_000
    const keys = new TicketKeys(OLD.publicKey, () => nowMs)
    const old = createTicket(OLD, NODE.publicKey, TERMS)
    expect(keys.tryOpen(old, NODE.publicKey)).toEqual(TERMS)
    expect(keys.tryOpen(createTicket(NEW, NODE.publicKey, TERMS, PROOF), NODE.publicKey)).toBeDefined()
    expect(keys.tryOpen(old, NODE.publicKey)).toEqual(TERMS)
    nowMs = UNTIL_S * 1000
    expect(keys.tryOpen(old, NODE.publicKey)).toBeUndefined()
    expect(keys.tryOpen(createTicket(NEW, NODE.publicKey, TERMS, PROOF), NODE.publicKey)).toEqual(TERMS)
    const thief = createSuccession(OLD, { key: NEWER.publicKey, untilS: 9000 })
    expect(keys.tryOpen(createTicket(NEWER, NODE.publicKey, TERMS, thief), NODE.publicKey)).toBeUndefined()
  })

  it('can follow another', () => {
    let nowMs = 1_500_000
    const keys = new TicketKeys(OLD.publicKey, () => nowMs)
    keys.tryOpen(createTicket(NEW, NODE.publicKey, TERMS, PROOF), NODE.publicKey)
    nowMs = 2_500_000
    const next = createSuccession(NEW, { key: NEWER.publicKey, untilS: 3000 })
    expect(keys.tryOpen(createTicket(NEWER, NODE.publicKey, TERMS, next), NODE.publicKey)).toBeDefined()
    nowMs = 3_500_000
    expect(keys.tryOpen(createTicket(NEWER, NODE.publicKey, TERMS), NODE.publicKey)).toEqual(TERMS)
  })
})
