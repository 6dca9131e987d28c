import { beforeEach, describe, expect, test } from 'vitest'
import {
  KEEPALIVE_TIMEOUT_MS,
  REKEY_ATTEMPT_TIME_MS,
  REKEY_JITTER_MS,
  REKEY_TIMEOUT_MS,
  WIPE_AFTER_MS,
} from '../../../src/wireguard/constants.js'
import { type TimerAction, Timers } from '../../../src/wireguard/timers.js'

const START_MS = 1_000_000
const JITTER = 0.5
const JITTER_MS = JITTER * REKEY_JITTER_MS

function silence() {
  return {
    lastSendMs: 0,
    lastDataSendMs: 0,
    firstUnansweredSendMs: 0,
    lastReceiveMs: 0,
    lastDataReceiveMs: 0,
    firstUnansweredReceiveMs: 0,
  }
}

describe('timers', () => {
  let timers: Timers
  let activity: ReturnType<typeof silence>
  let nowMs: number

  beforeEach(() => {
    timers = new Timers(() => JITTER)
    activity = silence()
    nowMs = START_MS
  })

  /** Jumps from deadline to deadline up to `untilMs`, doing what a peer would; what was asked for, with times. */
  function runUntil(untilMs: number): { atMs: number; action: TimerAction }[] {
    const seen: { atMs: number; action: TimerAction }[] = []
    for (;;) {
      const deadlineMs = Math.max(nowMs, timers.nextDeadlineMs(activity, nowMs))
      if (deadlineMs > untilMs) break
      if (seen.length > 1000) throw new Error('a timer fires again and again')
      nowMs = deadlineMs
      for (const action of timers.handleTimeout(activity, nowMs)) {
        seen.push({ atMs: nowMs - START_MS, action })
        if (action === 'initiate' || action === 'retransmit') timers.handshakeInitiated(nowMs)
        if (action === 'keepalive') activity.lastSendMs = nowMs
      }
    }
    nowMs = untilMs
    return seen
  }

  function sendData(): void {
    if (activity.firstUnansweredSendMs <= activity.lastReceiveMs) activity.firstUnansweredSendMs = nowMs
    activity.lastSendMs = nowMs
    activity.lastDataSendMs = nowMs
  }

  function receiveData(): void {
    if (activity.firstUnansweredReceiveMs <= activity.lastSendMs) activity.firstUnansweredReceiveMs = nowMs
    activity.lastReceiveMs = nowMs
    activity.lastDataReceiveMs = nowMs
  }

  function connect(): void {
    timers.keypairDerived(nowMs)
    timers.handshakeReceived(nowMs)
    timers.handshakeCompleted()
    nowMs += 1
  }

  test('a new peer waits for nothing', () => {
    expect(timers.nextDeadlineMs(activity, nowMs)).toBe(Number.POSITIVE_INFINITY)
  })

  test('a wanted handshake starts at once', () => {
    timers.handshakeWanted(nowMs)
    expect(runUntil(nowMs)).toEqual([{ atMs: 0, action: 'initiate' }])
  })

  test('an unanswered initiation is sent again after REKEY_TIMEOUT and jitter, until REKEY_ATTEMPT_TIME has passed', () => {
    timers.handshakeWanted(nowMs)
    const seen = runUntil(START_MS + 200_000)
    const interval = REKEY_TIMEOUT_MS + JITTER_MS
    const attempts = Math.ceil(REKEY_ATTEMPT_TIME_MS / interval)
    expect(seen.slice(0, 3).map(({ atMs }) => atMs)).toEqual([0, interval, 2 * interval])
    expect(seen.map(({ action }) => action)).toEqual([
      'initiate',
      ...Array.from({ length: attempts - 1 }, () => 'retransmit'),
      'giveUp',
    ])
    expect(seen.at(-1)?.atMs).toBeGreaterThanOrEqual(REKEY_ATTEMPT_TIME_MS)
  })

  test('a packet that comes during the attempts gives them their full time again', () => {
    timers.handshakeWanted(nowMs)
    runUntil(START_MS + 60_000)
    timers.handshakeWanted(nowMs)
    const gaveUp = runUntil(START_MS + 300_000).find(({ action }) => action === 'giveUp')
    expect(gaveUp?.atMs).toBeGreaterThanOrEqual(60_000 + REKEY_ATTEMPT_TIME_MS)
  })

  test('after giving up the next packet starts afresh', () => {
    timers.handshakeWanted(nowMs)
    runUntil(START_MS + 200_000)
    timers.handshakeWanted(nowMs)
    expect(runUntil(nowMs)).toEqual([{ atMs: 200_000, action: 'initiate' }])
  })

  test('two initiations are never closer together than REKEY_TIMEOUT, and the second is not forgotten', () => {
    timers.handshakeWanted(nowMs)
    runUntil(nowMs)
    timers.handshakeCompleted()
    nowMs += 100
    timers.handshakeWanted(nowMs)
    expect(runUntil(START_MS + 6000)).toContainEqual({ atMs: REKEY_TIMEOUT_MS, action: 'initiate' })
  })

  test('an answer of ours puts the next initiation off as much: the keypair is about to be confirmed', () => {
    timers.handshakeReceived(nowMs)
    timers.handshakeAnswered(nowMs)
    nowMs += 100
    timers.handshakeWanted(nowMs)
    expect(runUntil(START_MS + REKEY_TIMEOUT_MS)).toEqual([{ atMs: REKEY_TIMEOUT_MS, action: 'initiate' }])
  })

  test('an answer of ours puts off an initiation that was to come, too', () => {
    timers.handshakeWanted(nowMs)
    runUntil(nowMs)
    timers.handshakeCompleted()
    timers.handshakeWanted(nowMs + 1)
    nowMs += REKEY_TIMEOUT_MS - 1000
    timers.handshakeReceived(nowMs)
    timers.handshakeAnswered(nowMs)
    const atMs = 2 * REKEY_TIMEOUT_MS - 1000
    expect(runUntil(START_MS + atMs)).toEqual([{ atMs, action: 'initiate' }])
  })

  test('an answered handshake is not sent again', () => {
    timers.handshakeWanted(nowMs)
    runUntil(nowMs)
    nowMs += 50
    connect()
    expect(runUntil(START_MS + 100_000)).toEqual([])
  })

  test('data that nothing answers for KEEPALIVE_TIMEOUT + REKEY_TIMEOUT starts a handshake', () => {
    connect()
    sendData()
    const sentMs = nowMs - START_MS
    const seen = runUntil(START_MS + 16_000)
    const atMs = sentMs + KEEPALIVE_TIMEOUT_MS + REKEY_TIMEOUT_MS + JITTER_MS
    expect(seen).toEqual([
      { atMs, action: 'unanswered' },
      { atMs, action: 'initiate' },
    ])
  })

  test('the time runs from the first unanswered packet, not the last', () => {
    connect()
    const firstMs = nowMs - START_MS
    for (let i = 0; i < 14; i++) {
      sendData()
      runUntil(nowMs + 1000)
    }
    expect(runUntil(START_MS + 16_000)[0]?.atMs).toBe(firstMs + 15_000 + JITTER_MS)
  })

  test('any authenticated packet answers what was sent before it', () => {
    connect()
    sendData()
    runUntil(nowMs + 5000)
    activity.lastReceiveMs = nowMs
    expect(runUntil(START_MS + 60_000)).toEqual([])
  })

  test('a handshake message answers, too, and data after it counts anew', () => {
    connect()
    sendData()
    runUntil(nowMs + 5000)
    timers.handshakeReceived(nowMs)
    const answeredMs = nowMs - START_MS
    runUntil(nowMs + 1000)
    sendData()
    const seen = runUntil(START_MS + 60_000)
    expect(seen[1]?.action).toBe('initiate')
    expect(seen[0]?.atMs).toBeGreaterThanOrEqual(answeredMs + 15_000)
    expect(seen[0]?.atMs).toBeLessThanOrEqual(answeredMs + 16_000 + REKEY_JITTER_MS)
  })

  test('received data that nothing answers for KEEPALIVE_TIMEOUT is answered by one keepalive', () => {
    connect()
    receiveData()
    const receivedMs = nowMs - START_MS
    expect(runUntil(START_MS + 60_000)).toEqual([
      { atMs: receivedMs + KEEPALIVE_TIMEOUT_MS, action: 'keepalive' },
    ])
  })

  test('data that arrives while the device sleeps is still answered in time', () => {
    connect()
    runUntil(START_MS + 34_567)
    receiveData()
    expect(runUntil(START_MS + 60_000)).toEqual([{ atMs: 44_567, action: 'keepalive' }])
  })

  test('sent data makes the keepalive needless', () => {
    connect()
    receiveData()
    runUntil(nowMs + 9000)
    sendData()
    activity.lastReceiveMs = nowMs + 1
    expect(runUntil(START_MS + 30_000)).toEqual([])
  })

  test('received keepalives are not answered', () => {
    connect()
    activity.lastReceiveMs = nowMs
    expect(runUntil(START_MS + 100_000)).toEqual([])
  })

  test('a keepalive that could not be sent is not tried in a loop', () => {
    connect()
    receiveData()
    nowMs += KEEPALIVE_TIMEOUT_MS
    expect(timers.handleTimeout(activity, nowMs)).toEqual(['keepalive'])
    expect(timers.handleTimeout(activity, nowMs)).toEqual([])
    expect(timers.nextDeadlineMs(activity, nowMs)).toBeGreaterThan(nowMs)
  })

  test('a persistent keepalive goes out at once when switched on, and then whenever the interval was silent', () => {
    timers.setPersistentKeepalive(25_000, nowMs)
    const seen = runUntil(START_MS + 80_000)
    expect(seen.map(({ atMs }) => atMs)).toEqual([0, 25_000, 50_000, 75_000])
    expect(new Set(seen.map(({ action }) => action))).toEqual(new Set(['keepalive']))
  })

  test('traffic in either direction puts the persistent keepalive off', () => {
    timers.setPersistentKeepalive(25_000, nowMs)
    runUntil(START_MS + 20_000)
    activity.lastReceiveMs = nowMs
    expect(runUntil(START_MS + 44_999)).toEqual([])
    expect(runUntil(START_MS + 45_000)).toEqual([{ atMs: 45_000, action: 'keepalive' }])
  })

  test('a path that was not there before makes the persistent keepalive due at once', () => {
    timers.setPersistentKeepalive(25_000, nowMs)
    runUntil(START_MS + 20_000)
    activity.lastReceiveMs = nowMs
    timers.pathFound(nowMs)
    expect(runUntil(START_MS + 50_000).map(({ atMs }) => atMs)).toEqual([20_000, 45_000])
  })

  test('a path that was not there before means nothing without a persistent keepalive', () => {
    timers.pathFound(nowMs)
    expect(timers.nextDeadlineMs(activity, nowMs)).toBe(Number.POSITIVE_INFINITY)
    timers.setPersistentKeepalive(25_000, nowMs)
    expect(runUntil(START_MS + 26_000).map(({ atMs }) => atMs)).toEqual([0, 25_000])
  })

  test('a persistent keepalive switched off stops', () => {
    timers.setPersistentKeepalive(25_000, nowMs)
    runUntil(START_MS + 30_000)
    timers.setPersistentKeepalive(0, nowMs)
    expect(runUntil(START_MS + 300_000)).toEqual([])
  })

  test('secrets are wiped 3 × REJECT_AFTER_TIME after the last keypair, and then all is quiet', () => {
    connect()
    timers.keypairDerived(nowMs)
    const derivedMs = nowMs - START_MS
    expect(runUntil(START_MS + 2_000_000)).toEqual([{ atMs: derivedMs + WIPE_AFTER_MS, action: 'wipe' }])
    expect(timers.nextDeadlineMs(activity, nowMs)).toBe(Number.POSITIVE_INFINITY)
  })

  test('a handshake given up wipes old secrets as well', () => {
    timers.handshakeWanted(nowMs)
    const seen = runUntil(START_MS + 1_000_000)
    const gaveUpMs = seen.find(({ action }) => action === 'giveUp')?.atMs ?? Number.NaN
    expect(seen.at(-1)).toEqual({ atMs: gaveUpMs + WIPE_AFTER_MS, action: 'wipe' })
  })

  test('silence that ends together with a retransmit causes one initiation, not two', () => {
    connect()
    sendData()
    timers.handshakeWanted(nowMs)
    runUntil(nowMs)
    nowMs += 80_000
    const initiations = timers
      .handleTimeout(activity, nowMs)
      .filter((action) => action === 'initiate' || action === 'retransmit')
    expect(initiations).toHaveLength(1)
  })

  test('a clock that jumps hours ahead, as after suspend, ends in one orderly step', () => {
    connect()
    sendData()
    nowMs += 10 * 3_600_000
    const actions = timers.handleTimeout(activity, nowMs)
    expect(actions).toContain('wipe')
    expect(new Set(actions).size).toBe(actions.length)
    expect(timers.nextDeadlineMs(activity, nowMs)).toBeGreaterThanOrEqual(nowMs)
  })
})
