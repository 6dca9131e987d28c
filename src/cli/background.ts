/**
 * Starting a daemon in the background, seen from both ends.
 *
 * The daemon is this same program with BACKGROUND_WORD first; its arguments name an interface and a
 * file, never a secret. Both ends hold one socket: reports come up on it, and its end means that the
 * command was given up. Protocol: src/daemon/start-report.ts.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { ERROR_CODES } from '../base/errors.js'
import { type ApiFailure, errorFrom, failureOf } from '../daemon/api-failure.js'
import { openStartReporter, parseStartReport } from '../daemon/start-report.js'
import { BACKGROUND_WORD } from './command.js'
import { printNote } from './output.js'

const LAUNCHER = fileURLToPath(new URL('../../bin/overlay', import.meta.url))

export interface BackgroundRequest {
  readonly interfaceName: string
  /** Undefined for a bare device. */
  readonly configFile: string | undefined
  readonly isVerbose: boolean
}

/** Resolves when the interface is ready; throws what kept it from becoming so. */
export async function startInBackground(request: BackgroundRequest): Promise<void> {
  const { interfaceName, configFile = '', isVerbose } = request
  const args = [LAUNCHER, BACKGROUND_WORD, interfaceName, configFile, isVerbose ? 'debug' : 'info']
  const child = spawn(process.execPath, args, {
    detached: true,
    cwd: '/',
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  const failure = await followStart(child, child.stdio[3] as Duplex)
  if (failure !== undefined) throw errorFrom(failure)
  child.unref()
}

/** Undefined when it is ready. */
async function followStart(child: ChildProcess, channel: Duplex): Promise<ApiFailure | undefined> {
  const end = describeEnd(child)
  channel.on('error', () => undefined) // the daemon is gone: the lines end
  try {
    for await (const line of createInterface({ input: channel })) {
      const report = parseStartReport(line)
      if (report.kind === 'ready') return undefined
      if (report.kind === 'failed') return report.failure
      printNote(`warning: ${report.text}`)
    }
  } finally {
    channel.destroy()
  }
  return {
    error: {
      code: ERROR_CODES.internal,
      message: `the daemon did not start: ${await end}`,
      hint: 'see its log in /var/log/overlay, or start it with --foreground',
    },
  }
}

async function describeEnd(child: ChildProcess): Promise<string> {
  return await new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('exit', (code, signal) => {
      resolve(code === null ? `it was ended by ${signal}` : `it ended with exit code ${code}`)
    })
  })
}

/** The daemon's end. `words`: what startInBackground wrote after BACKGROUND_WORD. */
export async function runInBackground(words: readonly string[]): Promise<void> {
  const [interfaceName = '', configFile = '', level = 'info'] = words
  const { runDaemon } = await import('../daemon/composition.js')
  const abandoned = new AbortController()
  const reporter = openStartReporter(() => abandoned.abort())
  try {
    await runDaemon({
      interfaceName,
      configFile: configFile === '' ? undefined : configFile,
      isForeground: false,
      isVerbose: level === 'debug',
      signal: abandoned.signal,
      onWarning: (text) => reporter.send({ kind: 'warning', text }),
      onReady: () => {
        reporter.send({ kind: 'ready' })
        void reporter.close()
      },
    })
    await reporter.close()
  } catch (error) {
    reporter.send({ kind: 'failed', failure: failureOf(error) })
    await reporter.close()
    process.exitCode = 1
  }
  process.exit() // a question to a name server that nobody waits for must not hold the process
}
