/**
 * The hub's hold on its front: starts it, starts it again when it ended by itself, and ends it in order.
 * What the front is: front-protocol.ts.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { AppError, ERROR_CODES } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import type { DirectoryMessage } from '../control/directory.js'
import { errorFrom } from './api-failure.js'
import type { FrontMessage, FrontOrder, FrontPlan, FrontStatus } from './front-protocol.js'

const START_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 5000
const REPORT_TIMEOUT_MS = 2000
const FIRST_PAUSE_MS = 100
const MAX_PAUSE_MS = 10_000
/** Whoever lived for this long did not fail at its start. */
const SOUND_LIFE_MS = 60_000

export interface FrontProcessOptions {
  /** Starts this program as a front: executable and arguments. */
  readonly command: readonly string[]
  /** As it is when the front starts, for the first time or again. */
  readonly plan: () => FrontPlan
  /** As it is when the front starts, for the first time or again. */
  readonly directory: () => readonly DirectoryMessage[]
  readonly log: Logger
  readonly nowMs: () => number
}

export class FrontProcess {
  readonly #options: FrontProcessOptions
  /** The one question that is under way, whoever asks meanwhile, and what its answer goes to. */
  #asked: Promise<FrontStatus | undefined> | undefined
  #answer: ((status: FrontStatus | undefined) => void) | undefined
  #child: ChildProcess | undefined
  #isReady = false
  #isStopping = false
  #startedAtMs = 0
  #pauseMs = FIRST_PAUSE_MS
  #timer: NodeJS.Timeout | undefined
  #restarts = 0

  private constructor(options: FrontProcessOptions) {
    this.#options = options
  }

  /** Resolves when it listens. Throws AppError: then nothing is left behind. */
  static async start(options: FrontProcessOptions): Promise<FrontProcess> {
    const front = new FrontProcess(options)
    try {
      await front.#launch()
      return front
    } catch (error) {
      await front.stop()
      throw error
    }
  }

  /** How often it had to be started again. */
  get restarts(): number {
    return this.#restarts
  }

  /** Lost while it does not run. */
  send(order: FrontOrder): void {
    if (this.#child?.connected === true) this.#child.send(order, undefined, undefined, () => undefined)
  }

  /** Undefined if it does not run, or does not answer. */
  async report(): Promise<FrontStatus | undefined> {
    if (!this.#isReady) return undefined
    this.#asked ??= new Promise((resolve) => {
      const timer = setTimeout(() => this.#answer?.(undefined), REPORT_TIMEOUT_MS)
      this.#answer = (status) => {
        clearTimeout(timer)
        this.#answer = undefined
        this.#asked = undefined
        resolve(status)
      }
      this.send({ kind: 'report' })
    })
    return await this.#asked
  }

  /** Ends it; it is started again with the plan of then. */
  restart(): void {
    this.send({ kind: 'stop' })
  }

  /** Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#isStopping = true
    clearTimeout(this.#timer)
    const child = this.#child
    if (child === undefined) return
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    this.send({ kind: 'stop' })
    await ended
    clearTimeout(timer)
  }

  async #launch(): Promise<void> {
    const [program = '', ...words] = this.#options.command
    // Its words are no secret; what is one goes over the channel.
    const child = spawn(program, words, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    })
    this.#child = child
    this.#startedAtMs = this.#options.nowMs()
    const ready = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS)
      const fail = (error: AppError): void => {
        clearTimeout(timer)
        reject(error)
      }
      child.once('error', (error) => {
        if (child.pid === undefined) this.#handleExit(child, error.message)
        fail(notStarted(error.message))
      })
      child.once('exit', (code, signal) => {
        const reason = code === null ? `it was ended by ${signal}` : `it ended with exit code ${code}`
        this.#handleExit(child, reason)
        fail(notStarted(reason))
      })
      child.on('message', (message: FrontMessage) => {
        if (message.kind === 'status') this.#answer?.(message.status)
        else if (message.kind === 'failed') fail(errorFrom(message.failure))
        else {
          clearTimeout(timer)
          resolve()
        }
      })
    })
    this.send({ kind: 'open', plan: this.#options.plan() })
    for (const message of this.#options.directory()) this.send({ kind: 'directory', message })
    this.send({ kind: 'listen' })
    await ready
    this.#isReady = true
  }

  #handleExit(child: ChildProcess, reason: string): void {
    if (this.#child !== child) return
    this.#child = undefined
    const wasReady = this.#isReady
    this.#isReady = false
    this.#answer?.(undefined)
    if (this.#isStopping || !wasReady) return
    this.#restarts += 1
    this.#options.log.error('front.ended', { reason })
    if (this.#options.nowMs() - this.#startedAtMs > SOUND_LIFE_MS) this.#pauseMs = FIRST_PAUSE_MS
    this.#launchSoon()
  }

  #launchSoon(): void {
    const pauseMs = this.#pauseMs
    this.#pauseMs = Math.min(MAX_PAUSE_MS, 2 * pauseMs)
    this.#timer = setTimeout(() => void this.#relaunch(), pauseMs)
  }

  async #relaunch(): Promise<void> {
    try {
      await this.#launch()
      this.#options.log.info('front.restarted', { pid: this.#child?.pid ?? 0 })
    } catch (error) {
      if (this.#isStopping) return
      this.#options.log.error('front.failed', { reason: String(error) })
      this.#child?.kill('SIGKILL')
      this.#launchSoon()
    }
  }
}

function notStarted(reason: string): AppError {
  return new AppError(ERROR_CODES.internal, `the process that listens for nodes did not start: ${reason}`, {
    hint: 'see the log of the hub',
  })
}
