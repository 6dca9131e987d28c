import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../../src/base/errors.js'
import { createLogger } from '../../../src/base/log.js'
import { runHooks } from '../../../src/daemon/hooks.js'
import { openLogFile } from '../../../src/daemon/log-file.js'

let directory = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlay-log-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true })
})

describe('the log file', () => {
  it('goes on where it ended and is closed to others', () => {
    const path = join(directory, 'wg7.log')
    for (const line of ['one', 'two']) {
      const file = openLogFile([path])
      file.writeLine(line)
      file.close()
    }
    expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n')
    expect(statSync(path).mode & 0o007).toBe(0)
  })

  it('never takes more than twice its bound, whatever is written', () => {
    const path = join(directory, 'wg7.log')
    const file = openLogFile([path], 1000)
    for (let i = 0; i < 500; i++) file.writeLine(`line ${i}`)
    file.close()
    expect(readdirSync(directory).sort()).toEqual(['wg7.log', 'wg7.log.1'])
    const texts = [readFileSync(`${path}.1`, 'utf8'), readFileSync(path, 'utf8')]
    for (const text of texts) expect(text.length).toBeLessThan(1020)
    expect(texts.join('').endsWith('line 498\nline 499\n')).toBe(true)
  })

  it('begins a new file after one that hooks have filled', () => {
    const path = join(directory, 'wg7.log')
    const file = openLogFile([path], 1000)
    appendFileSync(path, 'x'.repeat(1000))
    file.writeLine('one')
    file.close()
    expect(readFileSync(path, 'utf8')).toBe('one\n')
  })

  it('is opened elsewhere if the first place cannot be written', () => {
    const blocker = join(directory, 'file')
    writeFileSync(blocker, '')
    const file = openLogFile([join(blocker, 'wg7.log'), join(directory, 'wg7.log')])
    file.close()
    expect(file.path).toBe(join(directory, 'wg7.log'))
  })
})

describe('hooks', () => {
  const quiet = createLogger({ level: 'error', write: () => undefined, wallNowMs: () => 0 })

  it('know interface and file, as those of wg-quick', async () => {
    const logFile = openLogFile([join(directory, 'wg7.log')])
    const context = { interfaceName: 'wg7', configFile: '/etc/overlay/wg7.conf', log: quiet, logFile }
    await runHooks('PreUp', ['echo $INTERFACE $CONFIG_FILE'], context)
    expect(logFile.readFrom(0, 1000)).toBe('wg7 /etc/overlay/wg7.conf')
    logFile.close()
  })

  it('run in order with the name of the interface, their output in the log', async () => {
    const logFile = openLogFile([join(directory, 'wg7.log')])
    await runHooks('PostUp', ['echo one %i', 'echo two %i >&2'], {
      interfaceName: 'wg7',
      configFile: '/etc/overlay/wg7.conf',
      log: quiet,
      logFile,
    })
    expect(logFile.readFrom(0, 1000)).toBe('one wg7\ntwo wg7')
    logFile.close()
  })

  it('stop at the first that fails, which is named by number and by what it printed, not by its text', async () => {
    const logFile = openLogFile([join(directory, 'wg7.log')])
    const lines = ['true', 'secret=x; echo no such thing; exit 3', 'echo never']
    const run = runHooks('PreUp', lines, {
      interfaceName: 'wg7',
      configFile: '/etc/overlay/wg7.conf',
      log: quiet,
      logFile,
    })
    const error = await run.catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(AppError)
    expect(error).toMatchObject({
      message: 'PreUp hook 2 of 3 ended with exit code 3',
      hint: 'it printed: no such thing',
    })
    expect(logFile.readFrom(0, 1000)).toBe('no such thing')
    logFile.close()
  })

  it.each(['false; true', 'false | true', 'if true; then false; fi; true'])(
    'fail with "%s"',
    async (line) => {
      const logFile = openLogFile([join(directory, 'wg7.log')])
      const run = runHooks('PostUp', [line], {
        interfaceName: 'wg7',
        configFile: '/etc/overlay/wg7.conf',
        log: quiet,
        logFile,
      })
      await expect(run).rejects.toThrow('ended with exit code 1')
      logFile.close()
    },
  )

  it('are ended when the start is given up', async () => {
    const logFile = openLogFile([join(directory, 'wg7.log')])
    const abort = new AbortController()
    const context = {
      interfaceName: 'wg7',
      configFile: '/etc/overlay/wg7.conf',
      log: quiet,
      logFile,
      signal: abort.signal,
    }
    const run = runHooks('PreUp', ['sleep 1000'], context)
    abort.abort()
    await expect(run).rejects.toThrow('was ended by SIGTERM')
    logFile.close()
  })
})
