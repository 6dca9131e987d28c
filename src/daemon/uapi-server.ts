/**
 * The UAPI socket of one interface: what `wg` and tools built on it talk to.
 *
 * Whoever can connect can read the private key. INVARIANT: the socket is 0600 before it has its
 * name: it is bound in a directory closed to others, then renamed. A socket that nobody serves is
 * replaced; one that answers is another daemon's and stays. Requests of one client are answered in
 * order, and none is read while an answer waits to be taken.
 */

import { once } from 'node:events'
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, renameSync, rmSync, unlinkSync, watch } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { constants, networkInterfaces } from 'node:os'
import { dirname, join } from 'node:path'
import { AppError, ERROR_CODES, PlatformError } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import { formatUapiErrno, formatUapiState } from '../config/uapi-answer.js'
import { type UapiRequest, UapiRequestParser } from '../config/uapi-request.js'
import { toPlatformError } from '../platform/system-error.js'
import type { DeviceSnapshot, DeviceUpdate } from '../wireguard/configuration.js'

export interface UapiServerOptions {
  /** Absolute; at most 90 bytes, because the name it is bound by at first is longer. */
  readonly path: string
  readonly device: UapiDevice
  readonly log: Logger
  /** Somebody took the socket away: whoever does that to a userspace WireGuard wants it to end. */
  readonly onRemoved?: () => void
  /** A client that neither asks nor takes its answer for this long is dropped. */
  readonly idleMs?: number
}

interface UapiDevice {
  /** Throws if it cannot be done; the client gets the errno. */
  configure(update: DeviceUpdate): void
  snapshot(): DeviceSnapshot
}

export interface UapiServer {
  /** Removes the socket and ends all clients. Idempotent. */
  stop(): Promise<void>
}

const DIRECTORY_MODE = 0o755
const SOCKET_MODE = 0o600
const MAX_CLIENTS = 64
/** Connections the kernel keeps until they are accepted; beyond it clients get EAGAIN. */
const BACKLOG = 511
const IDLE_MS = 60_000
const PERMISSION_HINT = 'run as root, for example with sudo'

/** Throws AppError ALREADY_RUNNING if another process serves `path`. */
export async function startUapiServer(options: UapiServerOptions): Promise<UapiServer> {
  const { path, log } = options
  /** Whoever asked last, last. */
  const clients = new Set<Socket>()
  const touch = (socket: Socket): void => {
    clients.delete(socket)
    clients.add(socket)
  }
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    clients.add(socket)
    socket.once('close', () => clients.delete(socket))
    const [idlest] = clients
    if (clients.size > MAX_CLIENTS && idlest !== undefined) {
      clients.delete(idlest)
      idlest.destroy()
      log.warn('uapi.client.dropped', { reason: 'too many clients; this one was idle for the longest' })
    }
    void serveClient(socket, options, () => touch(socket))
  })
  try {
    mkdirSync(dirname(path), { recursive: true, mode: DIRECTORY_MODE })
    await refuseServedPath(path)
    await listenPrivately(server, path)
  } catch (error) {
    server.close()
    if (error instanceof AppError) throw error
    throw toPlatformError(error, `cannot create the socket ${path}`, PERMISSION_HINT)
  }
  server.on('error', (error) => log.error('uapi.failed', { reason: error.message }))
  const inode = lstatSync(path).ino
  const unwatch = watchSocket(path, inode, options)
  let stopped: Promise<void> | undefined
  return {
    stop: () => {
      unwatch()
      stopped ??= stopServer(server, clients, () => removeOwnSocket(path, inode))
      return stopped
    },
  }
}

function watchSocket(path: string, inode: number, { log, onRemoved }: UapiServerOptions): () => void {
  try {
    const watcher = watch(dirname(path), { persistent: false }, () => {
      if (lstatSync(path, { throwIfNoEntry: false })?.ino === inode) return
      watcher.close()
      log.warn('uapi.removed', { path })
      onRemoved?.()
    })
    watcher.on('error', () => watcher.close())
    return () => watcher.close()
  } catch (error) {
    log.warn('uapi.unwatched', { reason: String(error) }) // no inotify to be had: nobody will notice
    return () => undefined
  }
}

async function refuseServedPath(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!stat.isSocket()) {
    throw new PlatformError(`cannot create the socket ${path}: there is a file that is no socket`, {
      errno: 'EEXIST',
      syscall: 'bind',
      hint: `look at it, then remove it: ls -l ${path}`,
    })
  }
  if (!(await isServed(path))) return
  throw new AppError(ERROR_CODES.alreadyRunning, `another process serves ${path}`, {
    hint: 'stop it first, or choose another interface name',
  })
}

/** Anything but a refusal (a full backlog, for one) shows that somebody listens. */
function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT')
    })
  })
}

async function listenPrivately(server: Server, path: string): Promise<void> {
  const directory = mkdtempSync(join(dirname(path), '.uapi-'))
  try {
    const bound = join(directory, 's')
    server.listen({ path: bound, backlog: BACKLOG })
    await once(server, 'listening')
    chmodSync(bound, SOCKET_MODE)
    renameSync(bound, path)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function stopServer(server: Server, clients: ReadonlySet<Socket>, removeSocket: () => void): Promise<void> {
  removeSocket()
  for (const socket of clients) socket.destroy()
  return new Promise((resolve) => server.close(() => resolve()))
}

/** Leaves a socket alone that took the place of ours. */
function removeOwnSocket(path: string, inode: number): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.ino === inode) unlinkSync(path)
}

/** The one border where a client's failure ends: it costs that client only. */
async function serveClient(socket: Socket, options: UapiServerOptions, onAsked: () => void): Promise<void> {
  const closing = new AbortController()
  socket.once('close', () => closing.abort())
  socket.setTimeout(options.idleMs ?? IDLE_MS, () => socket.destroy())
  try {
    await answerRequests(socket, options, { closing: closing.signal, onAsked })
  } catch (error) {
    options.log.debug('uapi.client.lost', { reason: error instanceof Error ? error.message : '' })
    socket.destroy()
  }
}

async function answerRequests(
  socket: Socket,
  options: UapiServerOptions,
  { closing, onAsked }: { readonly closing: AbortSignal; readonly onAsked: () => void },
): Promise<void> {
  const parser = new UapiRequestParser(findScopeId)
  // Reading goes on only when the loop asks for more: a client that takes no answers sends no more.
  const chunks: AsyncIterable<Uint8Array> = socket.iterator({ destroyOnReturn: false })
  for await (const chunk of chunks) {
    onAsked()
    for (const request of parser.push(chunk)) {
      const answer = answerRequest(request, options)
      if (request.kind === 'invalid' && request.isFatal) {
        socket.end(answer, () => socket.destroy())
        return
      }
      if (!socket.write(answer)) await once(socket, 'drain', { signal: closing })
    }
  }
  socket.end()
}

function answerRequest(request: UapiRequest, { device, log }: UapiServerOptions): string {
  if (request.kind === 'invalid') {
    const { operation, errno, reason } = request
    log.warn('uapi.request.invalid', { operation, errno, reason })
    return formatUapiErrno(operation, errno)
  }
  try {
    if (request.kind === 'get') return formatUapiState(device.snapshot())
    device.configure(request.update)
    log.debug('uapi.set', { peers: request.update.peers.length })
    return formatUapiErrno('set', 0)
  } catch (error) {
    const errno = errnoOf(error)
    const reason = error instanceof AppError ? error.message : 'unexpected failure'
    log.warn('uapi.request.failed', { operation: request.kind, errno, reason })
    return formatUapiErrno(request.kind, errno)
  }
}

const ERRNO_NUMBERS: ReadonlyMap<string, number> = new Map(Object.entries(constants.errno))

/** Errno of a failed system call, EINVAL for what the device refuses, EIO for all else. */
function errnoOf(error: unknown): number {
  const { EINVAL, EIO } = constants.errno
  if (error instanceof PlatformError) return ERRNO_NUMBERS.get(error.errno) ?? EIO
  return error instanceof AppError ? EINVAL : EIO
}

/** `wg` writes a zone by its name. Every interface with a link-local address is known here. */
function findScopeId(zone: string): number | undefined {
  for (const address of networkInterfaces()[zone] ?? []) {
    if (address.family === 'IPv6' && address.scopeid > 0) return address.scopeid
  }
  return undefined
}
