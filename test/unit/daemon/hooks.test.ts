import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createLogger } from '../../../src/base/log.js'
import { type HookContext, runHooks } from '../../../src/daemon/hooks.js'
import { openLogFile } from '../../../src/daemon/log-file.js'

let directory: string
let context: HookContext

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlay-hooks-'))
  const logFile = openLogFile([join(directory, 'log')])
  const log = createLogger({ level: 'error', write: (line) => logFile.writeLine(line), wallNowMs: () => 0 })
  context = { interfaceName: 'wg7', configFile: '/etc/overlay/wg7.conf', log, logFile }
})

afterEach(() => {
  context.logFile.close()
  rmSync(directory, { recursive: true })
  vi.unstubAllEnvs()
})

describe('a hook', () => {
  it('knows its interface and file, and nothing of the guard that runs it', async () => {
    for (const name of ['GUARD', 'RESTARTED', 'ENDING']) vi.stubEnv(`OVERLAY_${name}`, '1')
    await runHooks('PostUp', ['env | grep -E "^(OVERLAY_(G|R|E)|INTERFACE|CONFIG_FILE)" | sort'], context)
    const text = readFileSync(join(directory, 'log'), 'utf8')
    expect(text).toBe('CONFIG_FILE=/etc/overlay/wg7.conf\nINTERFACE=wg7\n')
  })
})
