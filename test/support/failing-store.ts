/** A store that fails when it is told to, as one on a full disk does, for tests. */

import type { Store } from '../../src/hub/store.js'
import { StoreError } from '../../src/hub/store-error.js'

export class Faults {
  transactions = 0
  /** Calls that still work; then each fails until `heal`. */
  #left = Number.POSITIVE_INFINITY

  /** The next `calls` calls work, all after them fail. */
  failAfter(calls: number): void {
    this.#left = calls
  }

  heal(): void {
    this.#left = Number.POSITIVE_INFINITY
  }

  /** Something failed since that was asked for. */
  get haveCome(): boolean {
    return this.#left < 0
  }

  /** One call of the store. */
  spend(): void {
    this.#left -= 1
    if (this.#left >= 0) return
    this.#left = -1
    throw new StoreError('full', 'the disk is full', { hint: 'make room', cause: undefined })
  }
}

/** `store`: takes a failed transaction back. A transaction fails at its beginning or at its end, too. */
export function withFaults(store: Store, faults: Faults): Store {
  const transaction: Store['transaction'] = (work) => {
    faults.spend()
    faults.transactions += 1
    return store.transaction(() => {
      const result = work()
      faults.spend()
      return result
    })
  }
  return new Proxy(store, {
    get(target, name) {
      if (name === 'transaction') return transaction
      const method: unknown = Reflect.get(target, name, target)
      if (typeof method !== 'function') return method
      return (...values: unknown[]): unknown => {
        if (name !== 'close') faults.spend()
        return Reflect.apply(method, target, values)
      }
    },
  })
}
