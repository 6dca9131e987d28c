/** The command line's side of the local API: the only way in which it talks to a daemon. */

import { request as httpRequest } from 'node:http'
import type { ZodType } from 'zod'
import { AppError, ERROR_CODES, PlatformError } from '../base/errors.js'
import { errorFrom } from '../daemon/api-failure.js'
import { apiFailure } from '../daemon/local-api-schema.js'

const MAX_ANSWER_BYTES = 64 * 1024 * 1024
const CONNECT_RETRIES = 20
const CONNECT_RETRY_MS = 25

export interface ApiRequest<T> {
  readonly socket: string
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Sent as JSON. */
  readonly body?: unknown
  readonly answer: ZodType<T>
  readonly timeoutMs: number
}

/** Throws AppError: what the daemon answered, or NOT_RUNNING if none answers. */
export async function callApi<T>(request: ApiRequest<T>): Promise<T> {
  for (let retry = 0; ; retry++) {
    try {
      return await callOnce(request)
    } catch (error) {
      // A unix socket whose queue of connections is full refuses at once, instead of letting us wait.
      if (codeOf(error) !== 'EAGAIN' || retry === CONNECT_RETRIES) throw explain(error, request.socket)
    }
    await new Promise((resolve) => setTimeout(resolve, CONNECT_RETRY_MS))
  }
}

async function callOnce<T>(request: ApiRequest<T>): Promise<T> {
  const { status, text } = await exchange(request)
  const body: unknown = JSON.parse(text)
  if (status === 200) {
    const answer = request.answer.safeParse(body)
    if (answer.success) return answer.data
    throw new AppError(
      ERROR_CODES.platform,
      `cannot understand what the daemon on ${request.socket} answers`,
      {
        hint: 'it was started by another version of overlay: end it, and start it again',
        cause: answer.error,
      },
    )
  }
  throw errorFrom(apiFailure.parse(body))
}

async function exchange(request: ApiRequest<unknown>): Promise<{ status: number; text: string }> {
  const { socket, method, path, timeoutMs } = request
  return await new Promise((resolve, reject) => {
    const exchangeTimeout = AbortSignal.timeout(timeoutMs)
    const call = httpRequest({ socketPath: socket, method, path, signal: exchangeTimeout }, (response) => {
      const chunks: Buffer[] = []
      let sizeBytes = 0
      response.on('data', (chunk: Buffer) => {
        sizeBytes += chunk.length
        if (sizeBytes > MAX_ANSWER_BYTES) response.destroy(new Error('the answer is too large'))
        else chunks.push(chunk)
      })
      response.on('error', reject)
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() })
      })
    })
    call.on('error', (error) => reject(exchangeTimeout.aborted ? timedOut(socket, timeoutMs) : error))
    call.end(request.body === undefined ? undefined : JSON.stringify(request.body))
  })
}

function timedOut(socket: string, timeoutMs: number): AppError {
  return new AppError(ERROR_CODES.timeout, `no answer on ${socket} for ${timeoutMs / 1000} s`, {
    hint: 'look into the log of that interface in /var/log/overlay',
  })
}

function explain(error: unknown, socket: string): unknown {
  const errno = codeOf(error)
  if (error instanceof AppError || errno === undefined) return error
  if (errno === 'ENOENT' || errno === 'ECONNREFUSED' || errno === 'ECONNRESET') {
    return new AppError(ERROR_CODES.notRunning, `no daemon answers on ${socket}`, { cause: error })
  }
  const hint = errno === 'EACCES' || errno === 'EPERM' ? 'run as root, for example with sudo' : ''
  return new PlatformError(`cannot ask the daemon on ${socket}: ${errno}`, {
    errno,
    syscall: 'connect',
    hint,
    cause: error,
  })
}

function codeOf(error: unknown): string | undefined {
  const isCoded = error instanceof Error && 'code' in error && typeof error.code === 'string'
  return isCoded ? (error.code as string) : undefined
}
