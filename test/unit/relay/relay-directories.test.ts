import { expect, it } from 'vitest'
import { HubDirectory } from '../../../src/relay/hub-directory.js'
import { RelayDirectories } from '../../../src/relay/relay-directories.js'
import { testNode, WALL_MS } from '../../support/control.js'
import { IDENTITY as HUB } from '../../support/hub-world.js'

const [ALICE, BOB, CAROL, DAVE] = [1, 2, 3, 4].map((number) => testNode(number).identity) as [
  typeof HUB,
  typeof HUB,
  typeof HUB,
  typeof HUB,
]
const NOTHING = new Uint8Array(0)

function network(...members: readonly (typeof HUB)[]): HubDirectory {
  const directory = new HubDirectory({ ticketKey: HUB.publicKey, wallNowMs: () => WALL_MS })
  const changed = members.map(({ text }) => ({ identity: text, tags: [] }))
  const lists = { changed, removed: [], agreed: [], parted: [] }
  directory.apply({
    type: 'directory',
    epoch: 1,
    atS: 1,
    isFirst: true,
    needsConsent: false,
    isComplete: true,
    ...lists,
  })
  return directory
}

it('lets talk who is in one network together, or on the list together, and nobody across', () => {
  const [home, office] = [network(ALICE, BOB), network(BOB, CAROL)]
  const all = new RelayDirectories({
    networks: () => [home, office],
    allowed: new Set([CAROL.text, DAVE.text]),
  })
  for (const one of [ALICE, BOB, CAROL, DAVE]) expect(all.mayEnter(one.publicKey, NOTHING)).toBe(true)
  expect(all.mayEnter(testNode(9).identity.publicKey, NOTHING)).toBe(false)
  expect(all.mayTalk(ALICE.text, BOB.text)).toBe(true)
  expect(all.mayTalk(BOB.text, CAROL.text)).toBe(true)
  expect(all.mayTalk(CAROL.text, DAVE.text)).toBe(true)
  expect(all.mayTalk(ALICE.text, CAROL.text)).toBe(false)
  expect(all.mayTalk(ALICE.text, DAVE.text)).toBe(false)
})

it('lets nobody go whom another network or the list still wants', () => {
  const [home, office] = [network(ALICE, BOB, DAVE), network(BOB)]
  const all = new RelayDirectories({ networks: () => [home, office], allowed: new Set([DAVE.text]) })
  expect([...all.unwelcome(new Set([ALICE.text, BOB.text, DAVE.text]), home)]).toEqual([ALICE.text])
})
