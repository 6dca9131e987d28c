/** Why a hub's store does not do what it is asked, in words for whoever runs the hub. */

import { AppError, ERROR_CODES } from '../base/errors.js'
import type { Refusal } from '../control/messages.js'

const RETRY_AFTER_S = 30

/**
 * `locked`: another program writes to it. `full`: the disk has no room. `unwritable`: the system refuses, for
 * instance because the disk fails or was made read-only. `damaged`: what is there is no store any more.
 */
export type StoreFault = 'locked' | 'full' | 'unwritable' | 'damaged'

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
  unwritable: 'its disk cannot be written',
  damaged: 'its store is damaged',
}

/** For a node that asked for what cannot be kept just now. It names no path of the hub's machine. */
export function busyRefusal({ fault }: StoreError): Refusal {
  return {
    type: 'refused',
    code: 'busy',
    message: `the hub cannot store anything now: ${REASONS[fault]}`,
    hint: 'this node asks again by itself; tell whoever runs the hub: overlay hub status',
    retryAfterS: RETRY_AFTER_S,
  }
}
