/** Why a hub's store does not do what it is asked, in words for whoever runs the hub. */

import { AppError, ERROR_CODES } from '../base/errors.js'
import type { Refusal } from '../control/messages.js'

const RETRY_AFTER_S = 30

/**
 * `locked`: another program writes to it. `full`: the disk has no room. `readOnly`: its file system takes no writes.
 * `unwritable`: the system refuses, for instance because the disk fails. `damaged`: what is there is no store any more.
 */
export type StoreFault = 'locked' | 'full' | 'readOnly' | 'unwritable' | 'damaged'

export class StoreError extends AppError {
  readonly fault: StoreFault

  constructor(
    fault: StoreFault,
    message: string,
    options: { readonly hint: string; readonly cause: unknown },
  ) {
    super(fault === 'full' ? ERROR_CODES.storeFull : ERROR_CODES.store, message, options)
    this.fault = fault
  }
}

const REASONS: Readonly<Record<StoreFault, string>> = {
  locked: 'another program has locked its store',
  full: 'its disk is full',
  readOnly: 'its disk is read-only',
  unwritable: 'its disk cannot be written',
  damaged: 'its store is damaged',
}

/** In a few words. */
export function reasonOf({ fault }: StoreError): string {
  return REASONS[fault]
}

/** The store may be sound: its disk is what refuses. */
export function isForDisk(error: unknown): error is StoreError {
  return (
    error instanceof StoreError &&
    (['full', 'readOnly', 'unwritable'] as const).some((f) => f === error.fault)
  )
}

/** For a node that asked for what cannot be kept just now. It names no path of the hub's machine. */
export function busyRefusal(error: StoreError): Refusal {
  return {
    type: 'refused',
    code: 'busy',
    message: `the hub cannot store anything now: ${reasonOf(error)}`,
    hint: 'this node asks again by itself; tell whoever runs the hub: overlay hub status',
    retryAfterS: RETRY_AFTER_S,
  }
}
