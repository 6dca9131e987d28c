import { describe, expect, test } from 'vitest'
import { createLogger, type Logger, type LogLevel } from '../../../src/base/log.js'

const START_MS = Date.UTC(2030, 0, 1)

interface Recorded {
  readonly log: Logger
  readonly lines: string[]
  readonly clock: { nowMs: number }
}

function record(level: LogLevel = 'debug'): Recorded {
  const lines: string[] = []
  const clock = { nowMs: START_MS }
  const log = createLogger({ level, write: (line) => lines.push(line), wallNowMs: () => clock.nowMs })
  return { log, lines, clock }
}

describe('logger', () => {
  test('a line has time, level, event and fields', () => {
    const { log, lines } = record()
    log.info('peer.connected', { peer: 'AbCd…WxYz', rttMs: 12, isNew: true, hidden: undefined })
    expect(lines).toEqual(['2030-01-01T00:00:00.000Z info peer.connected peer=AbCd…WxYz rttMs=12 isNew=true'])
  })

  test('text that could break a line is quoted', () => {
    const { log, lines } = record()
    log.warn('hook.failed', { command: 'a b\n2030 error fake', empty: '', quote: '"' })
    expect(lines[0]).toBe(
      '2030-01-01T00:00:00.000Z warn hook.failed command="a b\\n2030 error fake" empty="" quote="\\""',
    )
  })

  test('levels below the threshold are not written', () => {
    const { log, lines } = record('warn')
    log.debug('a')
    log.info('b')
    log.warn('c')
    log.error('d')
    expect(lines.map((line) => line.split(' ')[1])).toEqual(['warn', 'error'])
  })

  test('of a repeated event 20 lines pass in 10 s, then the rest is told as a number', () => {
    const { log, lines, clock } = record()
    for (let i = 0; i < 50; i++) log.info('flood')
    log.info('other')
    expect(lines).toHaveLength(21)
    clock.nowMs += 10_000
    log.info('flood')
    expect(lines.slice(21)).toEqual([
      '2030-01-01T00:00:10.000Z warn log.suppressed event=flood count=30',
      '2030-01-01T00:00:10.000Z info flood',
    ])
  })

  test('a wall clock that jumps back starts a new interval', () => {
    const { log, lines, clock } = record()
    for (let i = 0; i < 25; i++) log.info('flood')
    clock.nowMs -= 3_600_000
    log.info('flood')
    expect(lines).toHaveLength(22)
  })
})
