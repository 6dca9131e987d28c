/** One peer alone: what it does to paths, indices, secrets and what it says of itself. */

import { beforeEach, describe, expect, test } from 'vitest'
import { isZero } from '../../../src/base/bytes.js'
import type { Endpoint } from '../../../src/net/endpoint.js'
import { ipFromBytes } from '../../../src/net/ip.js'
import type { Path } from '../../../src/net/path.js'
import { KEEPALIVE_TIMEOUT_MS, REJECT_AFTER_TIME_MS } from '../../../src/wireguard/constants.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import type { Effect, Effects } from '../../../src/wireguard/effects.js'
import type { ConsumedInitiation } from '../../../src/wireguard/handshake.js'
import { IndexTable } from '../../../src/wireguard/index-table.js'
import { decodeInitiation, decodeResponse } from '../../../src/wireguard/messages.js'
import { type IndexOwner, Peer } from '../../../src/wireguard/peer.js'
import { Tai64nClock } from '../../../src/wireguard/tai64n.js'
import { expectDefined, HandshakePair } from '../../support/handshake-pair.js'
import { hex } from '../../support/hex.js'
import { seededRandom } from '../../support/seeded-random.js'

const START_MS = 1_000_000
const REMOTE: Endpoint = { address: ipFromBytes(hex('c0000202')), port: 51820, scopeId: 0 }
const LOCAL = ipFromBytes(hex('c0000201'))
const PATH: Path = { socket: 1, remote: REMOTE, local: LOCAL }
const SOCKETS = { v4: 1, v6: undefined }

function sent(effects: Effects): Extract<Effect, { kind: 'send' }>[] {
  return effects.filter((effect) => effect.kind === 'send')
}

describe('a peer', () => {
  let indices: IndexTable<IndexOwner>
  let pair: HandshakePair
  let peer: Peer
  let nowMs: number
  const activity = {
    lastSendMs: 0,
    lastDataSendMs: 0,
    firstUnansweredSendMs: 0,
    lastReceiveMs: 0,
    lastDataReceiveMs: 0,
    firstUnansweredReceiveMs: 0,
  }

  beforeEach(() => {
    const random = seededRandom(5)
    nowMs = START_MS
    Object.assign(activity, { lastDataSendMs: 0, firstUnansweredSendMs: 0 })
    indices = new IndexTable(random)
    pair = new HandshakePair(nodeCrypto, nodeCrypto, {
      random,
      initiator: random(32),
      responder: random(32),
      presharedKey: new Uint8Array(32),
      timestamp: hex('400000000000000a 01000000'),
    })
    const context = {
      crypto: nodeCrypto,
      random,
      jitter: () => 0.5,
      wallNowMs: () => nowMs,
      tai64n: new Tai64nClock(),
      indices,
    }
    peer = new Peer(context, { publicKey: pair.responder.publicKey, slot: 0, isManaged: false, activity })
    peer.setIdentity({ current: pair.initiator, previous: undefined }, [])
    peer.setEndpoint(REMOTE, SOCKETS, nowMs, [])
  })

  function timeout(): Effects {
    const effects: Effects = []
    peer.handleTimeout(nowMs, effects)
    return effects
  }

  function initiate(): Effects {
    peer.timers.handshakeWanted(nowMs)
    return timeout()
  }

  /** The remote answers the initiation among `effects`. */
  function answer(effects: Effects): Effects {
    const initiation = expectDefined(sent(effects)[0]).message
    const { state } = expectDefined(pair.consumeInitiation(initiation))
    const response = expectDefined(decodeResponse(pair.createResponse(state).message))
    const after: Effects = []
    expect(peer.handleResponse(response, PATH, nowMs, after)).toBeUndefined()
    return after
  }

  /** Authenticated already; `timestamp` in hex. */
  function initiationOfTheirs(timestamp: string): ConsumedInitiation {
    const theirs = new HandshakePair(nodeCrypto, nodeCrypto, {
      random: seededRandom(6),
      initiator: pair.responder.bytes,
      responder: pair.initiator.bytes,
      presharedKey: new Uint8Array(32),
      timestamp: hex(timestamp),
    })
    return expectDefined(theirs.consumeInitiation(theirs.createInitiation().message))
  }

  test('is not reached at port 0, but known there, until it calls', () => {
    const effects: Effects = []
    peer.setEndpoint({ ...REMOTE, port: 0 }, SOCKETS, nowMs, effects)
    expect(peer.endpoint).toEqual({ ...REMOTE, port: 0 })
    expect(effects).toEqual([{ kind: 'setPath', slot: 0, path: undefined }])
    peer.handleSourceChanged(PATH)
    expect(peer.endpoint).toEqual(REMOTE)
  })

  test('answers fifty initiations a second at most, however new they are', () => {
    const answers = [0, 19, 1].map((passedMs, i) => {
      nowMs += passedMs
      return peer.handleInitiation(initiationOfTheirs(`400000000000000${i + 1} 00000000`), PATH, nowMs, [])
    })
    expect(answers).toEqual([undefined, 'handshakeFlood', undefined])
  })

  test('ends its own handshake when theirs has served, and its index is free', () => {
    initiate()
    peer.handleInitiation(initiationOfTheirs('400000000000000b 01000000'), PATH, nowMs, [])
    expect(indices.size).toBe(2)
    peer.handleKeypairConfirmed(nowMs, nowMs, [])
    expect(indices.size).toBe(1)
    nowMs += 100_000
    expect(sent(timeout())).toEqual([])
  })

  test('takes an initiation of theirs for a sign of life', () => {
    answer(initiate())
    nowMs += 60_000
    Object.assign(activity, { lastDataSendMs: nowMs, firstUnansweredSendMs: nowMs })
    nowMs += KEEPALIVE_TIMEOUT_MS
    peer.handleInitiation(initiationOfTheirs('400000000000000b 01000000'), PATH, nowMs, [])
    nowMs += 6000
    expect(sent(timeout())).toEqual([])
  })

  test('keeps its local address through a renewal, which is no sign of trouble', () => {
    answer(initiate())
    nowMs += 120_000
    const effects = initiate()
    expect(effects.filter(({ kind }) => kind === 'setPath')).toEqual([])
    expect(sent(effects)[0]?.path.local).toEqual(LOCAL)
  })

  test('lets the kernel choose the local address again when nothing comes back', () => {
    answer(initiate())
    nowMs += 60_000
    Object.assign(activity, { lastDataSendMs: nowMs, firstUnansweredSendMs: nowMs })
    nowMs += KEEPALIVE_TIMEOUT_MS + 6000
    const effects = timeout()
    expect(effects).toContainEqual({ kind: 'setPath', slot: 0, path: { ...PATH, local: undefined } })
    expect(sent(effects)[0]?.path.local).toBeUndefined()
  })

  test('lets the kernel choose the local address again for a retransmit', () => {
    answer(initiate())
    nowMs += 120_000
    initiate()
    nowMs += 6000
    expect(sent(timeout())[0]?.path.local).toBeUndefined()
  })

  test('gives every receiver index back that it takes', () => {
    const first = initiate()
    expect(indices.size).toBe(1)
    nowMs += 6000
    const second = timeout()
    expect(sent(second)).toHaveLength(1)
    expect(indices.size).toBe(1)
    expect(expectDefined(decodeInitiation(expectDefined(sent(first)[0]).message)).senderIndex).not.toBe(
      expectDefined(decodeInitiation(expectDefined(sent(second)[0]).message)).senderIndex,
    )
    peer.forgetKeys([])
    expect(indices.size).toBe(0)
    initiate()
    nowMs += 200_000
    for (let i = 0; i < 40; i++) {
      nowMs += 6000
      timeout()
    }
    expect(indices.size).toBe(0)
    initiate()
    peer.wipe()
    expect(indices.size).toBe(0)
  })

  test('hands the index of its initiation to the keypair, and names it when it is installed', () => {
    const effects = answer(initiate())
    const installed = expectDefined(effects.find((effect) => effect.kind === 'installKeypair'))
    expect(indices.find(installed.keypair.localIndex)?.kind).toBe('keypair')
    expect(indices.size).toBe(1)
  })

  test('wipes what an initiation told it, be it answered or refused', () => {
    for (const expected of [undefined, 'handshakeReplayed']) {
      const received = initiationOfTheirs('400000000000000b 01000000')
      expect(peer.handleInitiation(received, PATH, nowMs, [])).toBe(expected)
      expect(isZero(received.state.transcript.chainingKey)).toBe(true)
      expect(isZero(received.state.transcript.hash)).toBe(true)
    }
    expect(indices.size).toBe(1)
  })

  test('is connected for as long as its keypair lives, however late that was confirmed', () => {
    peer.handleInitiation(initiationOfTheirs('400000000000000b 01000000'), PATH, nowMs, [])
    const createdAtMs = nowMs
    expect(peer.state(nowMs)).toBe('idle')
    nowMs += 60_000
    peer.handleKeypairConfirmed(createdAtMs, nowMs, [])
    expect(peer.state(nowMs)).toBe('connected')
    expect(peer.state(createdAtMs + REJECT_AFTER_TIME_MS - 1)).toBe('connected')
    expect(peer.state(createdAtMs + REJECT_AFTER_TIME_MS)).toBe('idle')
  })

  test('is unreachable no more when it is told where else to look, or told to forget', () => {
    const giveUp = (): void => {
      initiate()
      for (let i = 0; i < 20; i++) {
        nowMs += 6000
        timeout()
      }
      expect(peer.state(nowMs)).toBe('unreachable')
    }
    giveUp()
    peer.setEndpoint({ ...REMOTE, port: 1 }, SOCKETS, nowMs, [])
    expect(peer.state(nowMs)).toBe('idle')
    giveUp()
    peer.forgetKeys([])
    expect(peer.state(nowMs)).toBe('idle')
  })

  test('drops what waits when it is told to forget its keys', () => {
    const effects: Effects = []
    initiate()
    peer.forgetKeys(effects)
    expect(effects).toEqual([
      { kind: 'removeKeypairs', slot: 0 },
      { kind: 'dropStaged', slot: 0 },
    ])
  })
})
