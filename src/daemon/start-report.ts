/**
 * How a background daemon tells the command that started it what becomes of it: lines of JSON over
 * an inherited socket. The command going away before the start is complete means: stop.
 */

import { Socket } from 'node:net'
import type { ApiFailure } from './api-failure.js'

/** File descriptor of the socket in the daemon. */
const REPORT_FD = 3

export type StartReport =
  | { readonly kind: 'warning'; readonly text: string }
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly failure: ApiFailure }

/** Both ends are this program, one the child of the other: the form of a line needs no proof. */
export function parseStartReport(line: string): StartReport {
  return JSON.parse(line) as StartReport
}

export interface StartReporter {
  send(report: StartReport): void
  /** Sends what is left and lets go of the command. */
  close(): Promise<void>
}

/** `onAbandoned`: the command ended before it was told anything final. */
export function openStartReporter(onAbandoned: () => void): StartReporter {
  const socket = new Socket({ fd: REPORT_FD, readable: true, writable: true })
  let isFinal = false
  socket.on('error', () => undefined) // the command is gone: 'close' follows
  socket.on('close', () => {
    if (!isFinal) onAbandoned()
  })
  socket.resume()
  return {
    send(report) {
      if (report.kind !== 'warning') isFinal = true
      if (socket.writable) socket.write(`${JSON.stringify(report)}\n`)
    },
    async close() {
      isFinal = true
      await new Promise<void>((resolve) => {
        if (socket.destroyed) resolve()
        else socket.end(() => resolve())
      })
      socket.destroy()
    },
  }
}
