import { existsSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { runShellLine } from '../../../src/platform/processes.js'

const outputFd = openSync('/dev/null', 'w')

it('ends a line by force that does not end when it is told to', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'overlay-line-'))
  const isDeaf = join(directory, 'deaf')
  const ended = new AbortController()
  const line = `trap "" TERM; : > ${isDeaf}; sleep 60`
  const end = runShellLine(line, { outputFd, signal: ended.signal, graceMs: 1 })
  const failure = expect(end).rejects.toThrow('was ended by SIGKILL')
  await expect.poll(() => existsSync(isDeaf), { timeout: 10_000 }).toBe(true)
  ended.abort()
  await failure
  rmSync(directory, { recursive: true })
})

it('begins no line that was given up before', async () => {
  await expect(runShellLine('true', { outputFd, signal: AbortSignal.abort() })).rejects.toThrow('given up')
})
