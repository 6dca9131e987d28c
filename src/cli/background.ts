/**
 * Starting a daemon in the background, seen from both ends.
 *
 * The daemon is this same program with BACKGROUND_WORD first; its arguments name an interface and a
 * file, never a secret. Both ends hold one socket: reports come up on it, and its end means that the
 * command was given up. Protocol: src/daemon/start-report.ts. Between the two stands a guard, which takes
 * privileges away from the daemon and starts that of a tunnel again after a crash: native/guard/main.cc.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { ERROR_CODES } from '../base/errors.js'
import { type ApiFailure, errorFrom, failureOf } from '../daemon/api-failure.js'
import { previousEnd } from '../daemon/guard.js'
import { openStartReporter, parseStartReport, type StartReporter } from '../daemon/start-report.js'
import { nativeFile } from '../platform/native-files.js'
import { BACKGROUND_WORD } from './command.js'
import { printNote } from './output.js'

const LAUNCHER = fileURLToPath(new URL('../../bin/overlay', import.meta.url))

export interface BackgroundRequest {
  readonly interfaceName: string
  /** Undefined for a bare device. */
  readonly configFile: string | undefined
  /** The daemon may use files that are not its user's. */
  readonly hasFileAccess: boolean
  readonly isVerbose: boolean
  readonly hasDns: boolean
  /** For names of endpoints that are not resolved. */
  readonly waitsForNames: boolean
}

/** Resolves when the interface is ready; throws what kept it from becoming so. */
export async function startInBackground(request: BackgroundRequest): Promise<void> {
  const child = spawn(nativeFile('overlay-guard'), guardArguments(request), {
    detached: true,
    cwd: '/',
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  const failure = await followStart(child, child.stdio[3] as Duplex)
  if (failure !== undefined) throw errorFrom(failure)
  child.unref()
}

function guardArguments(request: BackgroundRequest): string[] {
  const { interfaceName, configFile, hasFileAccess, isVerbose, hasDns, waitsForNames } = request
  const overlay = [process.execPath, LAUNCHER]
  const flags = [isVerbose ? 'debug' : 'info', hasDns ? 'dns' : 'no-dns', waitsForNames ? 'wait' : 'no-wait']
  const words = [interfaceName, configFile ?? '', ...flags]
  const daemon = [BACKGROUND_WORD, ...words]
  const start = [...(hasFileAccess ? ['--file-access'] : []), '--', ...overlay, ...daemon]
  // What was set on a bare device by `wg` nobody could set again: it is not started twice.
  if (configFile === undefined) return ['--once', ...start]
  const undo = [...overlay, 'down', interfaceName, '--crashed']
  const hooks = [...overlay, 'hooks', configFile]
  return [...start, '--', ...undo, '--', ...hooks]
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

/** Of a daemon that was started again: what it has to say is in its log. */
const NOBODY_WAITS: StartReporter = { send: () => undefined, close: async () => undefined }

/** The daemon's end. `words`: what startInBackground wrote after BACKGROUND_WORD. */
export async function runInBackground(words: readonly string[]): Promise<void> {
  const [interfaceName = '', configFile = '', level = 'info', dns = 'dns', wait = 'no-wait'] = words
  const { runDaemon } = await import('../daemon/composition.js')
  const abandoned = new AbortController()
  const isFirst = previousEnd(process.env) === undefined
  const reporter = isFirst ? openStartReporter(() => abandoned.abort()) : NOBODY_WAITS
  try {
    await runDaemon({
      interfaceName,
      configFile: configFile === '' ? undefined : configFile,
      isForeground: false,
      isVerbose: level === 'debug',
      hasDns: dns === 'dns',
      waitsForNames: wait === 'wait',
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
