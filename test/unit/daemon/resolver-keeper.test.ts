import { describe, expect, it, vi } from 'vitest'
import { createLogger } from '../../../src/base/log.js'
import { ResolverKeeper } from '../../../src/daemon/resolver-keeper.js'
import type { ResolverEntry } from '../../../src/platform/resolv-conf.js'

const ENTRY: ResolverEntry = {
  kind: 'names',
  interfaceName: 'home',
  servers: ['100.64.0.1'],
  searchDomains: ['home.overlay'],
}

class Scene {
  isThere = true
  nowMs = 0
  puts = 0
  failure: Error | undefined
  readonly keeper = new ResolverKeeper({
    log: createLogger({ level: 'error', write: () => undefined, wallNowMs: () => 0 }),
    bootNowMs: () => this.nowMs,
    isThere: () => this.isThere,
    add: async () => {
      if (this.failure !== undefined) throw this.failure
      this.puts += 1
      this.isThere = true
    },
  })

  /** Another program writes the file without our lines, and the keeper looks. */
  async overwrite(): Promise<void> {
    this.isThere = false
    await this.keeper.look()
  }
}

function scene(): Scene {
  const made = new Scene()
  made.keeper.keep([ENTRY])
  return made
}

describe('a keeper of the resolver', () => {
  it('sees also what was written before it knew how the file was', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const made = scene()
      made.isThere = false
      await vi.runOnlyPendingTimersAsync()
      expect(made.puts).toBe(1)
      made.keeper.stop()
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  it('puts back what another program took away', async () => {
    const made = scene()
    await made.overwrite()
    expect(made).toMatchObject({ isThere: true, puts: 1 })
    expect(made.keeper.fault).toBeUndefined()
    made.keeper.stop()
  })

  it('does nothing while all is there', async () => {
    const made = scene()
    await made.keeper.look()
    expect(made.puts).toBe(0)
    made.keeper.stop()
  })

  it('lets somebody have it who does so again and again, says so, and tries it later', async () => {
    const made = scene()
    for (let i = 0; i < 20; i++) await made.overwrite()
    expect(made).toMatchObject({ isThere: false, puts: 5 })
    expect(made.keeper.fault).toContain('another program keeps changing /etc/resolv.conf')
    made.nowMs += 60_000
    await made.keeper.look()
    expect(made).toMatchObject({ isThere: true, puts: 6 })
    expect(made.keeper.fault).toBeUndefined()
    made.keeper.stop()
  })

  it('says why it could not be put back', async () => {
    const made = scene()
    made.failure = new Error('cannot change /etc/resolv.conf: it is read-only')
    await made.overwrite()
    expect(made.keeper.fault).toBe('cannot change /etc/resolv.conf: it is read-only')
    made.keeper.stop()
    expect(made.keeper.fault).toBeUndefined()
  })
})
