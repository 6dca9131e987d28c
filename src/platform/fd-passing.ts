/**
 * Handing an open descriptor (a TUN, a socket) to another process over a unix socket. All calls are
 * synchronous and bounded in time: made once when a process starts, not while packets flow.
 *
 * owned: every descriptor given here belongs to the caller, who closes it with fs.closeSync.
 */

import { nativeAddon } from './addon.js'
import { callNative } from './native-error.js'

const DEFAULT_TIMEOUT_MS = 5_000

/** Two connected sockets, non-blocking and with message boundaries; give one to a child process. */
export function openFdPair(): readonly [number, number] {
  return callNative('create a socket pair', () => nativeAddon().openUnixPair())
}

/** `path` must not exist; `@name` is abstract. Whoever may enter its directory may connect. */
export function listenForFds(path: string): number {
  return callNative(`listen on ${path}`, () => nativeAddon().listenUnix(path), {
    EADDRINUSE: `if no other process uses it: rm ${path}`,
  })
}

export function acceptFdSocket(listener: number, timeoutMs: number = DEFAULT_TIMEOUT_MS): number {
  return callNative('accept a connection', () => nativeAddon().acceptUnix(listener, timeoutMs))
}

export function connectFdSocket(path: string, timeoutMs: number = DEFAULT_TIMEOUT_MS): number {
  return callNative(`connect to ${path}`, () => nativeAddon().connectUnix(path, timeoutMs), {
    ENOENT: 'nobody listens there',
    ECONNREFUSED: 'nobody listens there',
    ETIMEDOUT: 'the process that listens there accepts nobody',
  })
}

/** Sends a copy; `fd` stays open here. */
export function sendFd(socketFd: number, fd: number): void {
  callNative(`send descriptor ${fd}`, () => nativeAddon().sendFd(socketFd, fd))
}

export function receiveFd(socketFd: number, timeoutMs: number = DEFAULT_TIMEOUT_MS): number {
  return callNative('receive a descriptor', () => nativeAddon().receiveFd(socketFd, timeoutMs), {
    ECONNRESET: 'the other process closed the socket',
    ETIMEDOUT: 'the other process sent none in time',
  })
}
