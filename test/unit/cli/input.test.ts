/** The standard input as a shell gives it: `overlay hub token create | ssh node sudo overlay join`. */

import { spawn } from 'node:child_process'
import { expect, it } from 'vitest'

const MODULE = new URL('../../../dist/cli/input.js', import.meta.url).href

it.each([
  ['that blocks', ''],
  ['that somebody made non-blocking', 'void process.stdin;'],
])('waits for what comes late through a pipe %s', async (_, before) => {
  const script = `${before} const { isTerminal, readInput } = await import('${MODULE}');
    console.log(isTerminal() ? 'terminal' : 'pipe'); console.log(readInput())`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'pipe' })
  let output = ''
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.stdout.on('data', (chunk: Buffer) => {
    // Only now: it reads already, or is about to.
    if (output === '') setTimeout(() => child.stdin.end('the token\n'), 100)
    output += chunk.toString()
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  expect([code, output]).toEqual([0, 'pipe\nthe token\n\n'])
})
