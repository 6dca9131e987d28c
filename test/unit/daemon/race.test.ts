import { describe, expect, it, vi } from 'vitest'
import { type Attempt, race, wasAnswered } from '../../../src/daemon/network/race.js'

const options = { timeoutMs: 10_000, signal: new AbortController().signal, dispose: () => undefined }

/** Settled by the test. */
function attempt(
  name: string,
  delayMs: number,
): Attempt<string> & {
  win: (value: string) => void
  lose: (reason: string) => void
  signal: () => AbortSignal | undefined
} {
  let win: (value: string) => void = () => undefined
  let lose: (reason: string) => void = () => undefined
  let seen: AbortSignal | undefined
  const outcome = new Promise<string>((resolve, reject) => {
    win = resolve
    lose = (reason) => reject(new Error(reason))
  })
  return {
    name,
    delayMs,
    run: async (signal) => {
      seen = signal
      return await outcome
    },
    win,
    lose,
    signal: () => seen,
  }
}

describe('a race', () => {
  it('is won by the first that gets there; the others are told, and disposed of', async () => {
    const [a, b] = [attempt('a', 0), attempt('b', 0)]
    const disposed: string[] = []
    const running = race([a, b], { ...options, dispose: (value) => disposed.push(value) })
    b.win('from b')
    expect(await running).toEqual({ name: 'b', value: 'from b' })
    expect(a.signal()?.aborted).toBe(true)
    a.win('from a')
    await new Promise((resolve) => setImmediate(resolve))
    expect(disposed).toEqual(['from a'])
  })

  it('begins the next at once when one fails', async () => {
    const [a, b] = [attempt('a', 0), attempt('b', 3_600_000)]
    const running = race([a, b], options)
    expect(b.signal()).toBeUndefined()
    a.lose('refused')
    await new Promise((resolve) => setImmediate(resolve))
    expect(b.signal()).toBeDefined()
    b.win('from b')
    expect((await running).name).toBe('b')
  })

  it('is soon over when a proxy says no, and names each reason once', async () => {
    vi.useFakeTimers()
    try {
      const [direct, one, two] = [attempt('direct', 0), attempt('one', 0), attempt('two', 0)]
      const failure = race([direct, one, two], options).catch(String)
      for (const way of [one, two]) way.lose('the proxy refuses: it wants NTLM (407)')
      await vi.advanceTimersByTimeAsync(1999)
      expect(direct.signal()?.aborted).toBe(false)
      await vi.advanceTimersByTimeAsync(1)
      expect(direct.signal()?.aborted).toBe(true)
      direct.lose('given up')
      expect(await failure).toBe(
        'AggregateError: one, two: the proxy refuses: it wants NTLM (407); direct: given up',
      )
    } finally {
      vi.useRealTimers()
    }
  })

  it.each([
    ['ECONNREFUSED', false],
    ['ABORT_ERR', false],
    ['ECONNRESET', true],
    [undefined, true],
  ])('tells whether anybody answered: %s', async (code, isAnswered) => {
    const fail = async (): Promise<string> => {
      throw Object.assign(new Error('no'), { code })
    }
    const running = race([{ name: 'a', delayMs: 0, run: fail }], options)
    expect(wasAnswered(await running.catch((error: unknown) => error))).toBe(isAnswered)
  })

  it('names all that failed', async () => {
    const [a, b] = [attempt('a', 0), attempt('b', 0)]
    const running = race([a, b], options)
    a.lose('refused')
    b.lose('no route')
    await expect(running).rejects.toThrow('a: refused; b: no route')
  })

  it('ends when it is given up', async () => {
    const abort = new AbortController()
    const waiting: Attempt<string> = {
      name: 'a',
      delayMs: 0,
      run: async (signal) =>
        await new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('given up')))
        }),
    }
    const running = race([waiting], { ...options, signal: abort.signal })
    abort.abort()
    await expect(running).rejects.toThrow('a: given up')
  })
})
