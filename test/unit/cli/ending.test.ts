import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { endInterface } from '../../../src/cli/ending.js'
import { processId } from '../../../src/platform/processes.js'
import { runPaths } from '../../../src/platform/run-directory.js'

it('names a daemon that hangs, and what ends it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'overlay-ending-'))
  const paths = runPaths('wg7', directory)
  const silent = createServer()
  await new Promise<void>((resolve) => silent.listen(paths.apiSocket, resolve))
  const owner = processId(process.pid) ?? { pid: 0, processStart: '' }
  const frame = { version: 1, interface: 'wg7', mode: 'tunnel', configFile: '', namespace: '' } as const
  const record = { ...frame, ...owner, changes: [], postDown: [] }
  await expect(endInterface({ paths, record, isAlive: true }, false, 1)).rejects.toMatchObject({
    code: 'TIMED_OUT',
    hint: `type: sudo kill -9 ${process.pid}; sudo overlay down wg7`,
  })
  silent.close()
  rmSync(directory, { recursive: true })
})
