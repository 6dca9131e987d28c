/**
 * How each node behaves towards its hub: what it may still cost, what keeps going wrong with it, and whether two
 * machines use its identity. Gives the refusals that follow from that, and records them once for all.
 */

import { type Hello, MAX_RETRY_AFTER_S, type Refusal } from '../control/messages.js'
import { areSameKeys } from '../control/tunnel-key.js'
import { type Expense, NodeBudgets } from './node-budget.js'
import type { Registry } from './registry.js'
import { Runs } from './runs.js'
import type { Session } from './session.js'
import type { NodeRecord } from './store.js'
import { type TroubleKind, Troubles } from './troubles.js'

/** A session that was heard within that is alive: a node pings every 20 s. */
const ALIVE_MS = 45_000
/** For the second machine with one identity, doubled each time. */
const ELSEWHERE_PAUSE_S = 30
/** For whoever said too much in a session. */
const FLOOD_PAUSE_S = 30
/** For a session that gave way to another: if it was the node's own, nobody waits for it. */
const GIVEN_WAY_PAUSE_S = 5

/** What the transport knows of who speaks. */
export interface Speaker {
  /** Of the session, for the proof in a hello. */
  readonly handshakeHash: Uint8Array
  /** Its address, for people. */
  readonly from: string
}

export interface ConductOptions {
  readonly registry: Registry
  /** Boot clock. */
  readonly nowMs: () => number
  /** Begins the commands that its administrator types: `overlay hub`, and where its state is. */
  readonly command: string
}

export class Conduct {
  readonly #options: ConductOptions
  readonly #budgets: NodeBudgets
  readonly #troubles: Troubles
  readonly #runs = new Runs()

  constructor(options: ConductOptions) {
    this.#options = options
    this.#budgets = new NodeBudgets(options.nowMs)
    this.#troubles = new Troubles(options.nowMs)
  }

  /** 0 if an enrolled node may have that; else the seconds until it may. */
  take(identity: string, expense: Expense): number {
    return this.#budgets.take(identity, expense)
  }

  /** Undefined if nothing went wrong lately. */
  describe(identity: string): string | undefined {
    return this.#troubles.describe(identity)
  }

  admitted(identity: string, run: string | undefined): void {
    if (run !== undefined) this.#runs.admitted(identity, run)
  }

  /** It is no node any more. */
  forget(identity: string): void {
    for (const memory of [this.#budgets, this.#troubles, this.#runs]) memory.forget(identity)
  }

  /** Why a node that proved itself is not let in just now. `present`: its session, if it has one. */
  restraintOnHello(hello: Hello, { from }: Speaker, present: Session | undefined): Refusal | undefined {
    const { identity, run } = hello
    const node = this.#options.registry.find(identity)
    if (node === undefined) return undefined
    const pauseS = this.take(identity, 'hello')
    if (pauseS > 0)
      return this.restrain(node, 'it comes back again and again, so something cuts its connection', pauseS)
    const keysPauseS = areSameKeys(node, hello) ? 0 : this.take(identity, 'keys')
    if (keysPauseS > 0) return this.restrain(node, 'it changes its keys too often', keysPauseS)
    const isAlive = present !== undefined && this.#options.nowMs() - present.heardAtMs < ALIVE_MS
    if (!isAlive || run === undefined || !this.#runs.isSuperseded(identity, run)) return undefined
    const times = this.#note(
      node,
      'elsewhere',
      `two machines use its identity, at ${present.from} and ${from}`,
    )
    return {
      type: 'refused',
      code: 'elsewhere',
      message: `another machine, at ${present.from}, is ${node.name} with the same identity`,
      hint: `on the hub, type: ${this.#options.command} remove ${node.name}; then on each machine: overlay leave, and overlay join`,
      retryAfterS: Math.min(MAX_RETRY_AFTER_S, ELSEWHERE_PAUSE_S * 2 ** Math.min(times - 1, 10)),
    }
  }

  /** It said more than any node has to say. */
  flooded(node: NodeRecord): Refusal {
    return this.restrain(node, 'it says too much', FLOOD_PAUSE_S)
  }

  /** The refusal of a node that does something too often; it is remembered and recorded. */
  restrain(node: NodeRecord, text: string, retryAfterS: number): Refusal {
    this.#note(node, 'rateLimited', text)
    const message = `${node.name} has to wait for ${retryAfterS} s: ${text}`
    const hint = `it goes on by itself; if that does not end, type on the hub: ${this.#options.command} nodes`
    return { type: 'refused', code: 'rateLimited', message, hint, retryAfterS }
  }

  /** Gives how often it has happened. */
  #note(node: NodeRecord, kind: TroubleKind, text: string): number {
    const { count, record } = this.#troubles.happened(node.identity, kind, text)
    if (record !== undefined) this.#options.registry.note(node.name, 'node.troubled', record)
    return count
  }

  /** What the older of two sessions of one identity hears. */
  gaveWay({ name }: NodeRecord): Refusal {
    return {
      type: 'refused',
      code: 'elsewhere',
      message: `${name} has connected anew, from here or from another machine`,
      hint: `if this goes on, two machines use one identity: on the hub, type: ${this.#options.command} nodes`,
      retryAfterS: GIVEN_WAY_PAUSE_S,
    }
  }
}
