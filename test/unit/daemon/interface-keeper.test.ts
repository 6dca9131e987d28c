import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createLogger } from '../../../src/base/log.js'
import { InterfaceKeeper, type KeptChange } from '../../../src/daemon/interface-keeper.js'
import type { SystemChange } from '../../../src/daemon/system-change.js'

const ADDRESS: KeptChange = { kind: 'address', prefix: '10.0.0.1/24' }
const ROUTE: KeptChange = { kind: 'route', prefix: '10.1.0.0/16', table: 254 }
const CHANGES: readonly SystemChange[] = [{ kind: 'mtu', mtu: 1420 }, ROUTE, ADDRESS, { kind: 'linkUp' }]
const LIVE = { name: 'wg0', linkIndex: 7 }

let there: Set<KeptChange>
let put: KeptChange[]
let isUp: boolean
let watching: number
let failure: Error | undefined
let onEvent: () => void
let keeper: InterfaceKeeper

beforeEach(() => {
  vi.useFakeTimers()
  there = new Set([ADDRESS, ROUTE])
  put = []
  isUp = true
  watching = 0
  failure = undefined
  keeper = new InterfaceKeeper({
    log: createLogger({ level: 'error', write: () => undefined, wallNowMs: () => 0 }),
    bootNowMs: () => Date.now(),
    live: () => (isUp ? LIVE : undefined),
    watch: (listener) => {
      watching += 1
      onEvent = () => listener({ kind: 'lost' })
      return {
        stop: () => {
          watching -= 1
        },
      }
    },
    isThere: (change) => there.has(change),
    apply: (change) => {
      if (failure !== undefined) throw failure
      put.push(change)
      there.add(change)
    },
  })
  keeper.keep(CHANGES)
})
afterEach(() => {
  keeper.stop()
  vi.useRealTimers()
})

/** Somebody takes all away, and time passes. */
function flush(): void {
  there.clear()
  onEvent()
  vi.advanceTimersByTime(1000)
}

describe('addresses and routes of an interface', () => {
  it('are put back when somebody flushes them, addresses first', () => {
    flush()
    expect(put).toEqual([ADDRESS, ROUTE])
    expect(keeper.fault).toBeUndefined()
  })

  it('are left alone while they are there, and while the interface is down', () => {
    onEvent()
    isUp = false
    flush()
    expect(put).toEqual([])
    isUp = true
    onEvent()
    vi.advanceTimersByTime(1000)
    expect(put).toEqual([ADDRESS, ROUTE])
  })

  it('are let be after five times in a minute, which is told, and put back later', () => {
    for (let i = 0; i < 6; i++) flush()
    expect(put).toHaveLength(10)
    expect(keeper.fault).toBe('another program keeps taking address 10.0.0.1/24 from wg0')
    vi.advanceTimersByTime(61_000)
    expect(put).toHaveLength(12)
    vi.advanceTimersByTime(1000)
    onEvent()
    vi.advanceTimersByTime(1000)
    expect(keeper.fault).toBeUndefined()
  })

  it('that cannot be put back are told of', () => {
    failure = new Error('the kernel refuses')
    flush()
    expect(keeper.fault).toContain('the kernel refuses')
  })

  it('are not put back once the tunnel takes them away itself', () => {
    there.clear()
    onEvent()
    keeper.stop()
    vi.advanceTimersByTime(10_000)
    expect([put, watching]).toEqual([[], 0])
    keeper.keep([])
    expect(watching).toBe(0)
  })
})
