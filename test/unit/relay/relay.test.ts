import { beforeEach, describe, expect, it } from 'vitest'
import { concatBytes } from '../../../src/base/bytes.js'
import { createTicket } from '../../../src/control/ticket.js'
import { HubDirectory } from '../../../src/relay/hub-directory.js'
import { RelayDirectories } from '../../../src/relay/relay-directories.js'
import type { RelayEffect } from '../../../src/relay/relay-session.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { countingBytes, hex } from '../../support/hex.js'
import {
  dataMessage,
  identityOf,
  initiation,
  OPEN_DIRECTORY,
  REMOTE,
  RelayWorld,
} from '../../support/relay-world.js'

const [ALICE, BOB, CAROL, HUB] = [1, 2, 3, 61].map(identityOf) as [
  ReturnType<typeof identityOf>,
  ReturnType<typeof identityOf>,
  ReturnType<typeof identityOf>,
  ReturnType<typeof identityOf>,
]
const TERMS = { issuedAtS: 10, epoch: 1 }

/** The hub has said that nobody is in the network yet: whoever comes in does so by a ticket of a later epoch. */
function emptyNetwork(): HubDirectory {
  const network = new HubDirectory({ ticketKey: HUB.publicKey, wallNowMs: () => 0 })
  const nobody = { changed: [], removed: [], agreed: [], parted: [] }
  network.apply({ type: 'directory', epoch: 0, atS: 10, isFirst: true, isComplete: true, ...nobody })
  return network
}

let world: RelayWorld
beforeEach(() => {
  world = new RelayWorld()
})

describe('admission', () => {
  it('is for who proves an identity and has a ticket for it', () => {
    world = new RelayWorld(emptyNetwork(), 125e6)
    world.connect(1, ALICE, { ticket: createTicket(HUB, ALICE.publicKey, TERMS) })
    expect(world.kinds(1).sort()).toEqual(['observed', 'rtt', 'usable', 'welcome'])
    expect(world.seen.get(1)).toContainEqual({ kind: 'observed', endpoint: REMOTE })
    expect(world.seen.get(1)).toContainEqual({ kind: 'welcome', megabits: 1000 })
    expect(world.relay.clientCount).toBe(1)
  })

  it('is refused with a reason', () => {
    world = new RelayWorld(emptyNetwork())
    world.connect(1, ALICE, { ticket: createTicket(HUB, BOB.publicKey, TERMS) })
    world.connect(2, ALICE)
    for (const id of [1, 2]) expect(world.seen.get(id)).toContainEqual({ kind: 'failed', reason: 'ticket' })
    expect(world.closed).toEqual(new Set([1, 2]))
    expect(world.relay.totals().refused).toBe(2)
  })

  it('tells nobody on the way who the client is, nor whom it writes to', () => {
    world.connect(1, ALICE)
    world.connect(2, BOB)
    world.send(1, BOB, dataMessage(7))
    world.send(1, BOB, initiation(8))
    expect(world.received(2)).toEqual([
      [ALICE.text, 7],
      [ALICE.text, 8],
    ])
    for (const { toRelay, toClient } of world.wires.values()) {
      const all = Buffer.concat([...toRelay, ...toClient])
      for (const { publicKey } of [ALICE, BOB]) expect(all.includes(Buffer.from(publicKey))).toBe(false)
      expect(all.includes(Buffer.from(initiation(8).subarray(4)))).toBe(false)
    }
  })

  it('is not sought from a relay that does not hold the key, and no identity is said to it', () => {
    world.connect(1, ALICE, { relayKey: nodeCrypto.dhPrivateKey(countingBytes(32, 99)).publicKey })
    expect(world.kinds(1)).toEqual([])
    expect(world.closed).toEqual(new Set([1]))
    expect(world.wires.get(1)?.toRelay.map(({ length }) => length)).toEqual([51])
  })

  it('ends with an answer that was made for another handshake', () => {
    world.connect(1, ALICE)
    const answer = world.wires.get(1)?.toClient[0]
    world.block(2)
    world.connect(2, BOB)
    world.toClient(2, answer ?? new Uint8Array(0))
    expect(world.seen.get(2)).toEqual([{ kind: 'failed', reason: 'wrongRelay' }])
  })

  it('is refused silently to whoever does not know the key, or says something else first', () => {
    const firsts = [hex('09 0030').subarray(0, 3), hex('01 0004 00000001'), hex('0f 0010 00')]
    for (const [i, first] of firsts.entries()) {
      const id = 10 + i
      world.accept(id)
      const length = ((first[1] as number) << 8) | (first[2] as number)
      world.toRelay(id, concatBytes(first, new Uint8Array(length - first.length + 3)))
      expect(world.wires.get(id)?.toClient).toEqual([])
    }
    expect(world.closed).toEqual(new Set([10, 11, 12]))
    expect(world.relay.totals().refused).toBe(3)
  })

  it('cannot be had by playing a session again', () => {
    world.connect(1, ALICE)
    world.connect(2, BOB)
    world.send(1, BOB, dataMessage(7))
    world.send(1, BOB, initiation(8))
    const recorded = [...(world.wires.get(1)?.toRelay ?? [])]
    world.accept(3)
    for (const bytes of recorded) world.toRelay(3, bytes)
    expect(world.closed).toEqual(new Set([3]))
    expect(world.relay.clientCount).toBe(2)
    expect(world.received(2)).toHaveLength(2)
  })

  it('ends for who is silent, or one of too many', () => {
    const effects: RelayEffect[] = []
    for (let id = 1; id <= 1030; id++) world.relay.handleConnected(id, REMOTE, 0, effects)
    expect(effects).toEqual([1, 2, 3, 4, 5, 6].map((client) => ({ kind: 'close', client })))
    expect(world.relay.nextDeadlineMs()).toBe(5000)
    world.relay.handleTimeout(5000, effects)
    expect(effects).toHaveLength(1030)
    expect(world.relay.totals().abandoned).toBe(1030)
    expect(world.relay.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY)
  })

  it('may be by a list', () => {
    world = new RelayWorld(new RelayDirectories({ networks: () => [], allowed: new Set([ALICE.text]) }))
    world.connect(1, ALICE)
    world.connect(2, BOB)
    expect(world.kinds(1)).toContain('welcome')
    expect(world.seen.get(2)).toContainEqual({ kind: 'failed', reason: 'ticket' })
  })

  it('of an identity ends its older connection, which hears why; nobody else notices', () => {
    world.connect(1, ALICE)
    world.connect(2, BOB)
    world.send(1, BOB, dataMessage(1))
    world.connect(3, BOB)
    expect(world.seen.get(2)?.at(-1)).toEqual({ kind: 'failed', reason: 'replaced' })
    expect(world.closed).toEqual(new Set([2]))
    world.send(1, BOB, dataMessage(2))
    expect(world.received(3)).toEqual([[ALICE.text, 2]])
    expect(world.kinds(1)).not.toContain('peerGone')
  })
})

describe('forwarding', () => {
  beforeEach(() => {
    world.connect(1, ALICE)
    world.connect(2, BOB)
  })

  it('brings messages, alone and in trains, with who sent them', () => {
    const train = concatBytes(dataMessage(1, 100), dataMessage(2, 100), dataMessage(3, 50))
    world.send(1, BOB, dataMessage(9))
    world.send(1, BOB, train, 100)
    world.send(2, ALICE, initiation(4))
    expect(world.seen.get(2)?.filter(({ kind }) => kind === 'messages')).toEqual([
      { kind: 'messages', identity: ALICE.text, segmentBytes: 64, messages: dataMessage(9) },
      { kind: 'messages', identity: ALICE.text, segmentBytes: 100, messages: train },
    ])
    expect(world.received(1)).toEqual([[BOB.text, 4]])
    expect(world.relay.totals().forwarded).toBe(3)
  })

  it('tells who is not here, in no more bytes than it was asked with', () => {
    const before = world.wires.get(1)?.toClient.length ?? 0
    const asked = world.wires.get(1)?.toRelay.length ?? 0
    world.send(1, CAROL, dataMessage(1))
    expect(world.seen.get(1)?.at(-1)).toEqual({ kind: 'peerGone', identity: CAROL.text })
    const size = (list: Uint8Array[] = []): number => list.reduce((sum, { length }) => sum + length, 0)
    const answers = world.wires.get(1)?.toClient.slice(before)
    expect(answers).toHaveLength(1)
    expect(size(answers)).toBeLessThan(size(world.wires.get(1)?.toRelay.slice(asked)))
    expect(world.relay.totals()).toMatchObject({ notHere: 1, unknownNumber: 1 })
  })

  it('goes on when the recipient has come again, and ends when it left', () => {
    world.send(1, BOB, dataMessage(1))
    world.close(2)
    world.connect(3, BOB)
    world.send(1, BOB, dataMessage(2))
    expect(world.received(3)).toEqual([[ALICE.text, 2]])
    world.close(3)
    world.send(1, BOB, dataMessage(3))
    expect(world.seen.get(1)?.at(-1)).toEqual({ kind: 'peerGone', identity: BOB.text })
  })

  it('keeps what a slow client cannot take, control ahead of data, and serves others meanwhile', () => {
    world.connect(3, CAROL)
    world.block(2)
    for (const message of [dataMessage(1), dataMessage(2), initiation(3)]) world.send(1, BOB, message)
    world.send(1, CAROL, dataMessage(4))
    expect(world.received(3)).toEqual([[ALICE.text, 4]])
    world.drain(2)
    expect(world.received(2).map(([, mark]) => mark)).toEqual([3, 1, 2])
    world.send(1, BOB, dataMessage(5))
    expect(world.received(2).at(-1)).toEqual([ALICE.text, 5])
  })

  it('stops writing when the buffer is full again', () => {
    world.send(1, BOB, dataMessage(0))
    world.block(2)
    for (let i = 1; i <= 3; i++) world.send(1, BOB, dataMessage(i))
    world.drain(2, 1)
    expect(world.received(2).map(([, mark]) => mark)).toEqual([0, 1])
    world.drain(2)
    expect(world.received(2).map(([, mark]) => mark)).toEqual([0, 1, 2, 3])
  })

  it('shares a slow client between its senders, and lets none of them fill the queue', () => {
    world.connect(3, CAROL)
    world.block(2)
    const sent = 1000
    for (let i = 0; i < sent; i++) world.send(1, BOB, dataMessage(1, 1400))
    world.send(3, BOB, dataMessage(3))
    world.drain(2)
    const marks = world.received(2).map(([, mark]) => mark)
    expect(marks.indexOf(3)).toBeLessThan(15)
    expect(marks.length + world.relay.totals().overflow).toBe(sent + 1)
    expect(marks.length).toBeLessThan(200)
  })

  it('names a sender before its first message, and seals nothing that gives way', () => {
    world.block(2)
    for (let i = 0; i < 2000; i++) world.send(1, BOB, initiation(1))
    world.drain(2)
    expect(world.kinds(2)).not.toContain('failed')
    expect(world.received(2).length).toBeGreaterThan(100)
    world.send(1, BOB, initiation(2))
    expect(world.received(2).at(-1)).toEqual([ALICE.text, 2])
  })
})

describe('who may speak with whom', () => {
  const allowed = new Set<string>()
  const directory = {
    ...OPEN_DIRECTORY,
    mayTalk: (one: string, other: string) => allowed.has(`${one} ${other}`) || allowed.has(`${other} ${one}`),
  }

  beforeEach(() => {
    allowed.clear()
    allowed.add(`${ALICE.text} ${BOB.text}`)
    world = new RelayWorld(directory)
    world.connect(1, ALICE)
    world.connect(2, BOB)
    world.connect(3, CAROL)
  })

  it('is asked of the directory: of two that may not, nothing is forwarded', () => {
    for (let i = 0; i < 100; i++) world.send(3, BOB, dataMessage(1, 1400))
    world.send(3, BOB, initiation(1))
    expect(world.received(2)).toEqual([])
    expect(world.kinds(3)).toContain('peerGone')
    expect(world.relay.totals()).toMatchObject({ forwarded: 0, notAllowed: 2 })
    world.send(1, BOB, dataMessage(2))
    expect(world.received(2)).toEqual([[ALICE.text, 2]])
  })

  it('does not tell whether somebody is here whom the client may not know', () => {
    world.send(3, BOB, dataMessage(1))
    world.close(2)
    const before = world.seen.get(3)?.at(-1)
    world.nowMs += 1000
    world.send(3, BOB, dataMessage(1))
    expect(world.seen.get(3)?.at(-1)).toEqual(before)
    expect(world.relay.totals().notHere).toBe(0)
  })

  it('changes for numbers that are open, and for what waits', () => {
    world.send(1, BOB, dataMessage(1))
    world.block(2)
    world.send(1, BOB, dataMessage(2))
    allowed.clear()
    world.change()
    world.drain(2)
    expect(world.received(2)).toEqual([[ALICE.text, 1]])
    expect(world.seen.get(1)?.at(-1)).toEqual({ kind: 'peerGone', identity: BOB.text })
    world.nowMs += 1000
    world.send(1, BOB, dataMessage(3))
    expect(world.received(2)).toHaveLength(1)
    allowed.add(`${ALICE.text} ${BOB.text}`)
    world.nowMs += 1000
    world.send(1, BOB, dataMessage(4))
    expect(world.received(2).at(-1)).toEqual([ALICE.text, 4])
  })

  it('ends at once for who is revoked, in both directions', () => {
    world.send(1, BOB, dataMessage(1))
    world.change([ALICE.text])
    expect(world.seen.get(1)?.at(-1)).toEqual({ kind: 'failed', reason: 'revoked' })
    const frames = world.wires.get(1)?.toRelay.slice(-1) ?? []
    for (const bytes of frames) world.toRelay(1, bytes)
    expect(world.received(2)).toHaveLength(1)
    world.send(2, ALICE, dataMessage(2))
    expect(world.seen.get(2)?.at(-1)).toEqual({ kind: 'peerGone', identity: ALICE.text })
  })
})

describe('the rate of a client', () => {
  it('is limited, and it is told once a second how much was dropped', () => {
    world = new RelayWorld(OPEN_DIRECTORY, 125_000)
    world.connect(1, ALICE)
    world.connect(2, BOB)
    for (let i = 0; i < 20; i++) world.send(1, BOB, dataMessage(i, 20_000))
    expect(world.received(2).length).toBe(6)
    expect(world.kinds(1).filter((kind) => kind === 'limited')).toHaveLength(1)
    expect(world.relay.totals().rateLimited).toBe(14)
    world.nowMs += 1000
    for (let i = 0; i < 20; i++) world.send(1, BOB, dataMessage(i, 20_000))
    expect(world.received(2).length).toBe(12)
    expect(world.clients.get(1)?.overLimit).toBe(15)
  })

  it('holds for what is sealed too, and neither ends the session nor loses a peer', () => {
    world = new RelayWorld(OPEN_DIRECTORY, 125_000)
    world.connect(1, ALICE)
    world.connect(2, BOB)
    world.connect(3, CAROL)
    for (let i = 0; i < 10; i++) world.send(1, BOB, dataMessage(i, 20_000))
    for (let i = 0; i < 100; i++) world.send(1, CAROL, initiation(i))
    const lost = world.relay.totals().rateLimited
    expect(lost).toBeGreaterThan(50)
    world.nowMs += 1000
    world.send(1, CAROL, initiation(101))
    world.send(1, CAROL, initiation(102))
    expect(world.received(3).at(-1)).toEqual([ALICE.text, 102])
    expect(world.relay.clientCount).toBe(3)
  })
})
