/** Drives a PathManager: one timer, and its effects carried out on the engine. */

import type { Path } from '../../net/path.js'
import type { PathKind } from '../../paths/candidates.js'
import type { PathEffect, PathManager } from '../../paths/path-manager.js'
import type { PublicKey } from '../../wireguard/keys.js'
import type { Engine, WakeUp } from '../engine.js'

export interface PathDriverOptions {
  readonly manager: PathManager
  readonly engine: Engine
  readonly createWakeUp: (onWake: () => void) => WakeUp
  readonly nowMs: () => number
  readonly onPath: (publicKey: PublicKey, path: Path, kind: PathKind) => void
}

export class PathDriver {
  readonly #options: PathDriverOptions
  readonly #wakeUp: WakeUp

  constructor(options: PathDriverOptions) {
    this.#options = options
    this.#wakeUp = options.createWakeUp(() => {
      this.turn((manager, nowMs, effects) => manager.handleTimeout(nowMs, effects))
    })
  }

  turn<T>(input: (manager: PathManager, nowMs: number, effects: PathEffect[]) => T): T {
    const { manager, engine, nowMs, onPath } = this.#options
    const effects: PathEffect[] = []
    const result = input(manager, nowMs(), effects)
    for (const effect of effects) {
      if (effect.kind === 'send') engine.sendProbe(effect.path, effect.bytes)
      else {
        engine.setPeerPath(effect.publicKey, effect.path)
        onPath(effect.publicKey, effect.path, effect.pathKind)
      }
    }
    this.#wakeUp.at(manager.nextDeadlineMs(nowMs()))
    return result
  }

  stop(): void {
    this.#wakeUp.at(Number.POSITIVE_INFINITY)
  }
}
