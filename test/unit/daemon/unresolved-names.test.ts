import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { UnresolvedNames } from '../../../src/daemon/unresolved-names.js'
import type { Endpoint, HostEndpoint } from '../../../src/net/endpoint.js'
import { endpoint } from '../../support/simulated-nat.js'

const HOST: HostEndpoint = { host: 'a.example', port: 1 }
const FOUND = endpoint('192.0.2.4', 1)

let answers: (Endpoint | string)[]
let askedAtMs: number[]
let resolved: string[]
let names: UnresolvedNames

beforeEach(() => {
  vi.useFakeTimers({ now: 0 })
  answers = []
  askedAtMs = []
  resolved = []
  names = new UnresolvedNames({
    wallNowMs: () => Date.now(),
    onResolved: ({ host }) => resolved.push(host),
    resolve: async () => {
      askedAtMs.push(Date.now())
      return answers.shift() ?? 'EAI_AGAIN'
    },
  })
})

afterEach(() => {
  names.stop()
  vi.useRealTimers()
})

describe('names that were not resolved at the start', () => {
  it('are asked for ever more slowly, half a minute apart at most, and for as long as it takes', async () => {
    names.add(HOST, 'no name server answered')
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(askedAtMs.slice(0, 3)).toEqual([1000, 2500, 4750])
    const gaps = askedAtMs.slice(1).map((atMs, i) => atMs - (askedAtMs[i] ?? 0))
    expect(Math.max(...gaps)).toBe(30_000)
    expect(askedAtMs.length).toBeGreaterThan(100)
  })

  it('are told with the latest reason and since when, until they resolve', async () => {
    names.add(HOST, 'no name server answered')
    expect(names.faults).toEqual([
      'endpoint a.example:1 does not resolve: no name server answered; it is asked for again since 1970-01-01T00:00:00.000Z',
    ])
    answers = ['ENOTFOUND', FOUND]
    await vi.advanceTimersByTimeAsync(1000)
    expect(names.faults[0]).toContain('there is no such name')
    await vi.advanceTimersByTimeAsync(1500)
    expect([names.faults, resolved]).toEqual([[], ['a.example']])
    await vi.advanceTimersByTimeAsync(100_000)
    expect(askedAtMs).toHaveLength(2)
  })

  it('are asked for one at a time', async () => {
    let out = 0
    let most = 0
    const slow = new UnresolvedNames({
      wallNowMs: () => 0,
      onResolved: () => undefined,
      resolve: async () => {
        out += 1
        most = Math.max(most, out)
        await new Promise((resolve) => setTimeout(resolve, 20_000))
        out -= 1
        return 'EAI_AGAIN'
      },
    })
    for (let i = 0; i < 10; i++) slow.add({ host: `${i}.example`, port: 1 }, '')
    await vi.advanceTimersByTimeAsync(600_000)
    slow.stop()
    await vi.advanceTimersByTimeAsync(60_000)
    expect([most, out]).toEqual([1, 0])
  })

  it('are asked for no more once the file does not name them', async () => {
    names.add(HOST, '')
    names.add(HOST, '')
    expect([names.has(HOST), names.faults.length]).toEqual([true, 1])
    names.retain([{ host: 'b.example', port: 1 }])
    await vi.advanceTimersByTimeAsync(100_000)
    expect([names.faults, askedAtMs, resolved]).toEqual([[], [], []])
  })

  it('do nothing when their answer comes after they were given up', async () => {
    let answer: (endpoint: Endpoint) => void = () => undefined
    const slow = new UnresolvedNames({
      wallNowMs: () => 0,
      onResolved: ({ host }) => resolved.push(host),
      resolve: async () =>
        await new Promise((resolve) => {
          answer = resolve
        }),
    })
    slow.add(HOST, '')
    await vi.advanceTimersByTimeAsync(1000)
    slow.stop()
    answer(FOUND)
    await vi.advanceTimersByTimeAsync(100_000)
    expect([slow.faults, resolved]).toEqual([[], []])
  })
})
