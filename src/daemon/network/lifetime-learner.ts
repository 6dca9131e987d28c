/** Drives a LifetimeProbe in the background, whenever its plan says so, and tells the paths the outcome. */

import { randomBytes } from 'node:crypto'
import type { IpAddress } from '../../net/ip.js'
import type { PathKind } from '../../paths/candidates.js'
import { LifetimePlan } from '../../paths/lifetime-plan.js'
import { LifetimeProbe } from '../../paths/lifetime-probe.js'
import type { PathManager } from '../../paths/path-manager.js'
import { driveSurvey } from '../drive-survey.js'

export class LifetimeLearner {
  readonly #manager: PathManager
  readonly #plan = new LifetimePlan()
  #abort = new AbortController()
  #isStopped = false

  constructor(manager: PathManager) {
    this.#manager = manager
  }

  /** Data goes over a path of this kind to this address. IPv6 has no NAT where it works as it should. */
  handlePath(kind: PathKind, { family }: IpAddress): void {
    if (kind !== 'relay' && kind !== 'lan' && family === 4) this.#plan.need()
  }

  /** After each turn of the paths: cheap where nothing changed. */
  check(nowMs: number): void {
    if (this.#isStopped) return
    if (this.#plan.setPosition(this.#manager.own)) {
      this.#abort.abort()
      this.#abort = new AbortController()
      this.#manager.setLifetime(this.#plan.lifetimeMs)
    }
    if (this.#plan.takeStart(nowMs)) void this.#run(this.#abort.signal)
  }

  stop(): void {
    this.#isStopped = true
    this.#abort.abort()
  }

  async #run(signal: AbortSignal): Promise<void> {
    const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))
    const probe = new LifetimeProbe({ servers: this.#manager.servers, random })
    await driveSurvey(probe, 4, { signal, isVeiled: this.#manager.own.isStunDropped })
    if (signal.aborted) return
    this.#plan.finished(probe.lifetimeMs)
    this.#manager.setLifetime(probe.lifetimeMs)
  }
}
