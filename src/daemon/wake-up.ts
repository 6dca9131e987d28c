/**
 * The engine's one timer, on the boot clock.
 *
 * Node's timers stand still while the machine sleeps, the boot clock does not. So no wait is longer
 * than MAX_WAIT_MS: after a suspend the engine is late by that much at most.
 */

import type { WakeUp } from './engine.js'

const MAX_WAIT_MS = 5000

export function createWakeUp(bootNowMs: () => number, onWake: () => void): WakeUp {
  let deadlineMs = Number.POSITIVE_INFINITY
  let timer: NodeJS.Timeout | undefined

  function arm(): void {
    clearTimeout(timer)
    timer = undefined
    if (deadlineMs === Number.POSITIVE_INFINITY) return
    const waitMs = Math.min(MAX_WAIT_MS, Math.max(0, Math.ceil(deadlineMs - bootNowMs())))
    timer = setTimeout(handleTimer, waitMs)
  }

  function handleTimer(): void {
    if (bootNowMs() < deadlineMs) {
      arm()
      return
    }
    deadlineMs = Number.POSITIVE_INFINITY
    onWake()
  }

  return {
    at(nextMs) {
      if (nextMs === deadlineMs) return
      deadlineMs = nextMs
      arm()
    },
  }
}
