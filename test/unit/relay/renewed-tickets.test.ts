import { beforeEach, expect, it } from 'vitest'
import { createTicket } from '../../../src/control/ticket.js'
import { HubDirectory } from '../../../src/relay/hub-directory.js'
import { countingBytes } from '../../support/hex.js'
import { dataMessage, identityOf, RelayWorld } from '../../support/relay-world.js'

const MINUTE_S = 60
const [ALICE, BOB, CAROL, HUB, STRANGER] = [1, 2, 3, 61, 62].map(identityOf) as [
  ReturnType<typeof identityOf>,
  ReturnType<typeof identityOf>,
  ReturnType<typeof identityOf>,
  ReturnType<typeof identityOf>,
  ReturnType<typeof identityOf>,
]
const LISTS = { changed: [ALICE, BOB, CAROL].map(({ text }) => ({ identity: text, tags: [] })), removed: [] }

let nowS: number
let directory: HubDirectory
let world: RelayWorld

/** Alice and Bob are connected, and the relay alone has lost the hub. */
beforeEach(() => {
  nowS = 1_000_000
  directory = new HubDirectory({ ticketKey: HUB.publicKey, wallNowMs: () => nowS * 1000 })
  const whole = { isFirst: true, isComplete: true, needsConsent: false, agreed: [], parted: [] }
  directory.apply({ type: 'directory', epoch: 1, atS: nowS, ...whole, ...LISTS })
  world = new RelayWorld(directory)
  world.connect(1, ALICE)
  world.connect(2, BOB)
  directory.handleSilence()
})

function ticketOf(identity: typeof ALICE, signer: typeof HUB = HUB): Uint8Array {
  return createTicket(signer, identity.publicKey, { issuedAtS: nowS, epoch: 1 })
}

function renew(id: number, ticket: Uint8Array): void {
  world.turn(id, (client, effects) => client.renewTicket(ticket, effects))
}

/** As a relay's program does every minute. */
function passMinutes(minutes: number): void {
  for (let i = 0; i < minutes; i++) {
    nowS += MINUTE_S
    world.nowMs += MINUTE_S * 1000
    world.change([...directory.expired()])
  }
}

it('sessions that show renewed tickets go on past the hour, with nothing lost', () => {
  for (let mark = 1; mark <= 12; mark++) {
    passMinutes(20)
    renew(1, ticketOf(ALICE))
    renew(2, ticketOf(BOB))
    // Her ticket tells that the hub lives: older ones end by it.
    world.connect(2 + mark, CAROL, { ticket: ticketOf(CAROL) })
    world.change([...directory.expired()])
    world.send(1, BOB, dataMessage(mark))
  }
  expect(world.received(2).map(([, mark]) => mark)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
  for (const id of [1, 2]) expect(world.closed.has(id)).toBe(false)
})

it('whoever gets none any more is let go within the hour; a revocation cuts at once', () => {
  passMinutes(61)
  renew(2, ticketOf(BOB))
  expect(world.closed).toEqual(new Set())
  passMinutes(1)
  expect(world.seen.get(1)?.at(-1)).toEqual({ kind: 'failed', reason: 'revoked' })
  expect(world.closed).toEqual(new Set([1]))
  world.change([BOB.text])
  expect(world.closed).toEqual(new Set([1, 2]))
})

it("tickets of somebody else, of another hub, and junk keep nobody's session", () => {
  passMinutes(61)
  renew(1, ticketOf(BOB))
  renew(1, ticketOf(ALICE, STRANGER))
  renew(1, countingBytes(112))
  renew(2, ticketOf(BOB))
  passMinutes(1)
  expect(world.closed).toEqual(new Set([1]))
})

it('a client that shows tickets without end makes the relay check few of them', () => {
  for (let i = 0; i < 100; i++) {
    nowS += 1
    renew(1, ticketOf(ALICE))
  }
  expect(world.relay.totals().sealedLimited).toBe(92)
  expect(world.closed).toEqual(new Set())
})
