import { beforeEach, expect, it } from 'vitest'
import { DiscoPair } from '../../../src/paths/disco-pair.js'
import { PingBook } from '../../../src/paths/ping-book.js'
import { nobleCrypto } from '../../../src/wireguard/crypto-noble.js'
import { countingBytes } from '../../support/hex.js'
import { seededRandom } from '../../support/seeded-random.js'
import { endpoint } from '../../support/simulated-nat.js'

const SENT_MS = 10_000
const PATH = { socket: 1, remote: endpoint('198.51.100.7', 5000), local: undefined }
const ELSEWHERE = { ...PATH, remote: endpoint('198.51.100.8', 6000) }

const [OWN, PEER] = [1, 2].map((number) => nobleCrypto.dhPrivateKey(countingBytes(32, number)))

let peer: DiscoPair
let book: PingBook

beforeEach(() => {
  const own = OWN && PEER && DiscoPair.tryCreate(nobleCrypto, OWN, PEER.publicKey)
  const other = OWN && PEER && DiscoPair.tryCreate(nobleCrypto, PEER, OWN.publicKey)
  if (own === undefined || other === undefined) throw new Error('no pair')
  peer = other
  book = new PingBook(own, seededRandom(3))
})

/** As the peer reads it. */
function idOf(ping: Uint8Array): Uint8Array {
  const message = peer.open(ping)
  if (message?.kind !== 'ping') throw new Error('no ping')
  return message.transactionId
}

it('a ping is answered once, whenever that is', () => {
  const id = idOf(book.create(PATH, SENT_MS))
  expect(book.take(PATH, id, SENT_MS + 60_000)).toMatchObject({ path: PATH, sentMs: SENT_MS })
  expect(book.take(PATH, id, SENT_MS + 60_000)).toBeUndefined()
})

it('a shared ping is answered from anywhere, for five seconds: later answers are played again', () => {
  const id = idOf(book.createShared(SENT_MS))
  expect(book.take(PATH, id, SENT_MS + 100)).toMatchObject({ path: PATH, sentMs: SENT_MS })
  expect(book.take(ELSEWHERE, id, SENT_MS + 4999)).toMatchObject({ path: ELSEWHERE })
  expect(book.take(ELSEWHERE, id, SENT_MS + 5000)).toBeUndefined()
})
