/**
 * HTTP and JSON over a unix socket: how commands talk to the processes they steer.
 *
 * Who may speak is decided by the file system: the socket's directory is closed to other users. What comes
 * in is limited in size and time, and of too many clients the one gives way that has been idle for longest: whoever
 * runs the machine always gets in. Answers to errors are made here and only here.
 */

import { chmodSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { AppError, ERROR_CODES, RequestError } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import { removeFile } from '../platform/run-directory.js'
import { toPlatformError } from '../platform/system-error.js'
import { failureOf } from './api-failure.js'

const SOCKET_MODE = 0o600
const MAX_CLIENTS = 64
const MAX_HEADER_BYTES = 8192
const MAX_BODY_BYTES = 65_536
const REQUEST_TIMEOUT_MS = 5000
/** A client that takes nothing of its answer for this long is dropped. */
const ANSWER_TIMEOUT_MS = 10_000
const CLOSE_TIMEOUT_MS = 1000

/** `body`: parsed JSON, not checked; undefined if none came. */
export type Route = (body: unknown) => unknown

export interface ApiServerOptions {
  readonly path: string
  /** By method and path, such as `GET /v1/status`. */
  readonly routes: ReadonlyMap<string, Route>
  readonly log: Logger
  /** A client that has not sent its request for this long is dropped. */
  readonly requestTimeoutMs?: number
}

/** The caller knows that nobody serves `path`: a socket file that is there already is a dead one. */
export async function startApiServer(options: ApiServerOptions): Promise<{ stop(): Promise<void> }> {
  const { path, routes, log, requestTimeoutMs = REQUEST_TIMEOUT_MS } = options
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      requestTimeout: requestTimeoutMs,
      connectionsCheckingInterval: requestTimeoutMs / 5,
      keepAlive: false,
    },
    (request, response) => {
      request.once('end', () => idle.delete(request.socket))
      void answer(request, response, { routes, log })
    },
  )
  /** Whose request is not whole yet, the oldest first. */
  const idle = new Set<Socket>()
  const clients = new Set<Socket>()
  server.on('connection', (socket) => {
    clients.add(socket)
    const [idlest] = idle
    idle.add(socket)
    socket.once('close', () => {
      clients.delete(socket)
      idle.delete(socket)
    })
    if (clients.size > MAX_CLIENTS) (idlest ?? socket).destroy()
  })
  server.maxRequestsPerSocket = 1
  removeFile(path)
  await listen(server, path)
  return { stop: async () => await close(server, path) }
}

async function listen(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      try {
        reject(toPlatformError(error, `cannot listen on ${path}`, 'run as root'))
      } catch (fault) {
        reject(fault)
      }
    })
    server.listen(path, () => {
      chmodSync(path, SOCKET_MODE)
      resolve()
    })
  })
}

/** Lets answers under way finish, but not for ever. */
async function close(server: Server, path: string): Promise<void> {
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_TIMEOUT_MS)
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeIdleConnections()
  })
  clearTimeout(timer)
  removeFile(path)
}

interface Border {
  readonly routes: ReadonlyMap<string, Route>
  readonly log: Logger
}

async function answer(request: IncomingMessage, response: ServerResponse, border: Border): Promise<void> {
  const body = readBody(request)
  const { method = '', url = '' } = request
  const route = border.routes.get(`${method} ${url}`)
  if (route === undefined) {
    const known = [...border.routes.keys()].join(', ')
    send(
      response,
      404,
      failureOf(new AppError(ERROR_CODES.request, 'there is no such request', { hint: known })),
    )
    return
  }
  try {
    send(response, 200, (await route(await body)) ?? {})
  } catch (error) {
    if (!(error instanceof AppError)) border.log.error('api.failed', { reason: String(error) })
    send(response, statusOf(error), failureOf(error))
  }
}

/** Undefined if none comes. Never rejects before it is awaited: a request may be answered without it. */
function readBody(request: IncomingMessage): Promise<unknown> {
  const body = new Promise<unknown>((resolve, reject) => {
    const chunks: Buffer[] = []
    let sizeBytes = 0
    request.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length
      if (sizeBytes > MAX_BODY_BYTES) request.destroy()
      else chunks.push(chunk)
    })
    request.on('error', () => reject(new RequestError('', 'the request broke off')))
    request.on('end', () => {
      try {
        resolve(chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString()))
      } catch {
        reject(new RequestError('', 'the body of the request is not JSON'))
      }
    })
  })
  body.catch(() => undefined)
  return body
}

/** A request that cannot be right is not a failure of whoever answers it. */
function statusOf(error: unknown): number {
  return error instanceof AppError && error.code === ERROR_CODES.request ? 400 : 500
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body)
  response.on('error', () => undefined)
  response.setTimeout(ANSWER_TIMEOUT_MS, () => response.destroy())
  response.writeHead(status, { 'Content-Type': 'application/json', Connection: 'close' })
  response.end(text)
}
