/** What the commands of `overlay hub` share: where the hub's state is, and how its process is asked. */

import { resolve } from 'node:path'
import type { ZodType } from 'zod'
import { AppError, ERROR_CODES } from '../base/errors.js'
import type { HubPaths } from '../daemon/hub-state.js'
import { withCommand } from '../hub/refusals.js'
import type { CommandInput } from './command.js'

const TIMEOUT_MS = 10_000

export async function hubPathsOf(input: CommandInput): Promise<HubPaths> {
  const { HUB_STATE_DIRECTORY, hubPaths } = await import('../daemon/hub-state.js')
  return hubPaths(resolve(input.value('state') ?? HUB_STATE_DIRECTORY))
}

/** How commands for this hub begin, for hints that are to be typed. */
export async function hubCommandOf(input: CommandInput): Promise<string> {
  const { hubCommand } = await import('../daemon/hub-state.js')
  return hubCommand(await hubPathsOf(input))
}

export async function schemaOf<K extends keyof typeof import('../daemon/hub-schema.js')>(
  name: K,
): Promise<typeof import('../daemon/hub-schema.js')[K]> {
  return (await import('../daemon/hub-schema.js'))[name]
}

export interface HubQuestion<T> {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: unknown
  readonly answer: ZodType<T>
}

/** Throws AppError: what the hub answered, or NOT_RUNNING. */
export async function askHub<T>(input: CommandInput, question: HubQuestion<T>): Promise<T> {
  const paths = await hubPathsOf(input)
  try {
    return await askWherever(paths, question)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    const command = await hubCommandOf(input)
    if (error.code !== ERROR_CODES.notRunning) throw forCommand(error, command)
    const hint = `start it: ${command} start`
    throw new AppError(ERROR_CODES.notRunning, `no hub runs in ${paths.directory}`, { hint, cause: error })
  }
}

async function askWherever<T>(paths: HubPaths, question: HubQuestion<T>): Promise<T> {
  const { callApi } = await import('./api-client.js')
  const { adminSockets } = await import('../daemon/hub-sockets.js')
  let failure: unknown
  for (const socket of adminSockets(paths)) {
    try {
      return await callApi({ ...question, socket, timeoutMs: TIMEOUT_MS })
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== ERROR_CODES.notRunning) throw error
      failure ??= error
    }
  }
  throw failure
}

/** Throws AppError if there is one that runs. */
export async function requireHubStopped(input: CommandInput): Promise<void> {
  const question = { method: 'GET', path: '/v1/hub', answer: await schemaOf('hubStatus') } as const
  const running = await askHub(input, question).catch((error: unknown) => {
    if (error instanceof AppError && error.code === ERROR_CODES.notRunning) return undefined
    throw error
  })
  if (running === undefined) return
  const { directory } = await hubPathsOf(input)
  throw new AppError(ERROR_CODES.alreadyRunning, `the hub in ${directory} runs already`, {
    hint: `end it first: kill ${running.pid}; or where a service runs it: systemctl stop overlay-hub`,
  })
}

/** The hub does not know how it was asked: what is to be typed next is for the same hub. */
function forCommand(error: AppError, command: string): AppError {
  const { code, message, hint } = error
  const mended = withCommand(hint, command)
  return mended === hint ? error : new AppError(code, message, { hint: mended, cause: error })
}
