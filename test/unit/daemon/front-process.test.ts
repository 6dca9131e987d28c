import { afterEach, describe, expect, it } from 'vitest'
import { createLogger } from '../../../src/base/log.js'
import { FrontProcess } from '../../../src/daemon/front-process.js'
import type { FrontPlan } from '../../../src/daemon/front-protocol.js'
import { bootNowMs } from '../../../src/platform/clock.js'

const PLAN: FrontPlan = {
  port: 1,
  stunPort: 2,
  stunAddresses: [],
  certificate: { key: 'KEY', cert: '' },
  relaySeed: new Uint8Array(32).fill(7),
  ticketKey: new Uint8Array(32),
  maxBytesPerS: Number.POSITIVE_INFINITY,
  controlPath: '/nowhere',
}
const LOG = createLogger({ level: 'error', write: () => undefined, wallNowMs: () => 0 })

let front: FrontProcess | undefined
afterEach(async () => await front?.stop())

/** A front of a few lines. */
async function start(script: string): Promise<FrontProcess> {
  front = await FrontProcess.start({
    command: [process.execPath, '-e', script],
    plan: () => PLAN,
    directory: () => [],
    log: LOG,
    nowMs: bootNowMs,
  })
  return front
}

/** Tells how many bytes of the seed came; ends with its parent, or when it is told to. */
const SOUND = `process.on('message', (order) => {
  if (order.kind === 'open') { process.plan = order.plan; process.send({ kind: 'ready' }) }
  if (order.kind === 'report') process.send({ kind: 'status', status: { pid: process.pid, memoryBytes: 0, cpuS: 0,
    relayClients: process.plan.relaySeed[31], counters: { limit: process.plan.maxBytesPerS } } })
  if (order.kind === 'stop') process.exit()
})`

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('the process that listens for a hub', () => {
  it('gets its plan over the channel and reports', async () => {
    const status = await (await start(SOUND)).report()
    expect(status).toMatchObject({ relayClients: 7, counters: { limit: Number.POSITIVE_INFINITY } })
  })

  it('is started again when it was killed, and is gone when it is stopped', async () => {
    const running = await start(SOUND)
    const first = (await running.report())?.pid ?? 0
    process.kill(first, 'SIGKILL')
    let second: number | undefined
    while (second === undefined || second === first) {
      await new Promise((resolve) => setImmediate(resolve))
      second = (await running.report())?.pid
    }
    expect(running.restarts).toBe(1)
    await running.stop()
    expect(isAlive(second)).toBe(false)
    expect(await running.report()).toBeUndefined()
  })

  it('that cannot listen fails with what it said, and is ended', async () => {
    const failure = { error: { code: 'platform', message: 'cannot listen on TCP port 1', hint: 'another' } }
    const script = `process.on('message', ({ kind }) => {
      if (kind === 'open') process.send({ kind: 'failed', failure: ${JSON.stringify(failure)} })
      if (kind === 'stop') process.exit()
    })`
    await expect(start(script)).rejects.toMatchObject({
      message: 'cannot listen on TCP port 1',
      hint: 'another',
    })
  })

  it('that ends at once, or is no program, fails as well', async () => {
    await expect(start('process.exit(3)')).rejects.toThrow('it ended with exit code 3')
    const missing = {
      command: ['/nowhere/program'],
      plan: () => PLAN,
      directory: () => [],
      log: LOG,
      nowMs: bootNowMs,
    }
    await expect(FrontProcess.start(missing)).rejects.toThrow('ENOENT')
  })
})
