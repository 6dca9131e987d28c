/**
 * Where a daemon writes its log lines: the standard error of a foreground run, else a file of bounded
 * size. When the file is full it becomes `<file>.1`, replacing the one before: never more than two.
 */

import { closeSync, fstatSync, mkdirSync, openSync, readSync, renameSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { PlatformError } from '../base/errors.js'
import { runPaths } from '../platform/run-directory.js'
import { toPlatformError } from '../platform/system-error.js'

const LOG_DIRECTORY = '/var/log/overlay'
const MAX_FILE_BYTES = 4 * 1024 * 1024
const FILE_MODE = 0o640
const DIRECTORY_MODE = 0o750
const STANDARD_ERROR = 2

export interface LogFile {
  /** Empty for the standard error. */
  readonly path: string
  /** For the output of hooks. */
  readonly fd: number
  writeLine(line: string): void
  /** End of the file now. */
  position(): number
  /** What was written since `position`, its last `maxBytes`; empty where it cannot be read back. */
  readFrom(position: number, maxBytes: number): string
  close(): void
}

export function standardErrorLog(): LogFile {
  return {
    path: '',
    fd: STANDARD_ERROR,
    writeLine: (line) => writeFully(STANDARD_ERROR, `${line}\n`),
    position: () => 0,
    readFrom: () => '',
    close: () => undefined,
  }
}

/** Opens the first of `paths` that can be written: /var/log may be read-only. */
export function openLogFile(paths: readonly string[], maxFileBytes: number = MAX_FILE_BYTES): LogFile {
  let failure: PlatformError | undefined
  for (const path of paths) {
    try {
      mkdirSync(dirname(path), { recursive: true, mode: DIRECTORY_MODE })
      return new RotatingLogFile(path, maxFileBytes)
    } catch (error) {
      failure = toPlatformError(error, `cannot open log file ${path}`, 'run as root')
    }
  }
  throw failure ?? new RangeError('no path for the log')
}

/** Of the daemon of an interface in the background. */
export function openDaemonLog(interfaceName: string, maxFileBytes: number = MAX_FILE_BYTES): LogFile {
  const name = `${interfaceName}.log`
  const paths = [`${LOG_DIRECTORY}/${name}`, join(runPaths(interfaceName).directory, name)]
  return openLogFile(paths, maxFileBytes)
}

class RotatingLogFile implements LogFile {
  readonly path: string
  readonly #maxFileBytes: number
  #fd: number
  /** No new file before this one is as long; more than the most after an attempt that failed. */
  #limitBytes: number

  constructor(path: string, maxFileBytes: number) {
    this.path = path
    this.#maxFileBytes = maxFileBytes
    this.#limitBytes = maxFileBytes
    this.#fd = openSync(path, 'a+', FILE_MODE)
  }

  get fd(): number {
    return this.#fd
  }

  writeLine(line: string): void {
    if (this.position() >= this.#limitBytes) this.#rotate() // hooks write to it as well
    writeFully(this.#fd, `${line}\n`)
  }

  position(): number {
    return fstatSync(this.#fd).size
  }

  readFrom(position: number, maxBytes: number): string {
    const end = this.position()
    const start = Math.max(position, end - maxBytes)
    const bytes = Buffer.alloc(Math.max(0, end - start))
    const length = readSync(this.#fd, bytes, 0, bytes.length, start)
    return bytes.toString('utf8', 0, length).trim()
  }

  close(): void {
    closeSync(this.#fd)
  }

  #rotate(): void {
    try {
      renameSync(this.path, `${this.path}.1`)
      const fd = openSync(this.path, 'a+', FILE_MODE)
      closeSync(this.#fd)
      this.#fd = fd
      this.#limitBytes = this.#maxFileBytes
    } catch {
      // The disk is full or was made read-only: go on with the file there is, and look again later.
      this.#limitBytes = this.position() + this.#maxFileBytes
    }
  }
}

/** Gives the bytes written. A log that cannot be written must not stop the tunnel. */
function writeFully(fd: number, text: string): number {
  try {
    return writeSync(fd, text)
  } catch {
    return 0
  }
}
