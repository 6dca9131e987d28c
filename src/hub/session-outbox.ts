/**
 * What a node that reads slowly has still to hear: of each other node the latest, once. So it waits for as much
 * as there are nodes, however much others talk, and misses nothing but old signals.
 */

import {
  type AskingNode,
  type HubMessage,
  MAX_ASKING_PER_MESSAGE,
  MAX_NODES_PER_MESSAGE,
  type NodeInfo,
  type NodesMessage,
  type Welcome,
} from '../control/messages.js'

type Signal = Extract<HubMessage, { type: 'signal' }>
type Ticket = Extract<HubMessage, { type: 'ticket' }>

/** The oldest give way: a handshake that old begins anew. */
const MAX_SIGNALS = 64

export class SessionOutbox {
  /** By identity, what it is now. */
  readonly #changed = new Map<string, NodeInfo>()
  readonly #removed = new Set<string>()
  readonly #asking = new Map<string, AskingNode | 'removed'>()
  /** The list that follows a welcome is not complete yet; the one of whom it could ask has not begun. */
  #isListOpen = false
  #isAskingNew = false
  #welcome: Welcome | undefined
  #ticket: Ticket | undefined
  #signals: Signal[] = []
  #isPongDue = false

  get isEmpty(): boolean {
    return this.#next() === undefined
  }

  /** A refusal does not wait: nothing follows it. Returns how many signals gave way. */
  push(message: Exclude<HubMessage, { type: 'refused' }>): number {
    switch (message.type) {
      case 'welcome':
        this.#welcome = message
        break
      case 'nodes':
        this.#pushNodes(message)
        break
      case 'asking':
        if (message.isFirst === true) {
          this.#asking.clear()
          this.#isAskingNew = true
        }
        for (const node of message.changed) this.#asking.set(node.identity, node)
        for (const identity of message.removed) this.#asking.set(identity, 'removed')
        break
      case 'signal':
        this.#signals.push(message)
        if (this.#signals.length <= MAX_SIGNALS) break
        this.#signals.shift()
        return 1
      case 'ticket':
        this.#ticket = message
        break
      case 'pong':
        this.#isPongDue = true
    }
    return 0
  }

  /** The next to be sent; undefined if there is none. */
  shift(): HubMessage | undefined {
    return this.#next()?.()
  }

  #next(): (() => HubMessage | undefined) | undefined {
    if (this.#welcome !== undefined) return () => this.#takeWelcome()
    if (this.#isListOpen || this.#removed.size > 0 || this.#changed.size > 0) return () => this.#takeNodes()
    if (this.#isAskingNew || this.#asking.size > 0) return () => this.#takeAsking()
    if (this.#ticket !== undefined) return () => this.#takeTicket()
    if (this.#signals.length > 0) return () => this.#signals.shift()
    return this.#isPongDue ? () => this.#takePong() : undefined
  }

  #pushNodes({ changed, removed, isComplete }: NodesMessage): void {
    for (const node of changed) {
      this.#changed.set(node.identity, node)
      this.#removed.delete(node.identity)
    }
    for (const identity of removed) {
      this.#removed.add(identity)
      this.#changed.delete(identity)
    }
    if (isComplete === true) this.#isListOpen = true
  }

  #takeWelcome(): HubMessage | undefined {
    const welcome = this.#welcome
    this.#welcome = undefined
    return welcome
  }

  #takeTicket(): HubMessage | undefined {
    const ticket = this.#ticket
    this.#ticket = undefined
    return ticket
  }

  #takePong(): HubMessage {
    this.#isPongDue = false
    return { type: 'pong' }
  }

  #takeNodes(): HubMessage {
    const changed = firstOf(this.#changed.values(), MAX_NODES_PER_MESSAGE)
    const removed = firstOf(this.#removed, MAX_NODES_PER_MESSAGE)
    for (const { identity } of changed) this.#changed.delete(identity)
    for (const identity of removed) this.#removed.delete(identity)
    const isComplete = this.#isListOpen && this.#changed.size === 0 && this.#removed.size === 0
    if (isComplete) this.#isListOpen = false
    return { type: 'nodes', changed, removed, ...(isComplete && { isComplete }) }
  }

  #takeAsking(): HubMessage {
    const entries = firstOf(this.#asking, MAX_ASKING_PER_MESSAGE)
    for (const [identity] of entries) this.#asking.delete(identity)
    const isFirst = this.#isAskingNew
    this.#isAskingNew = false
    return {
      type: 'asking',
      changed: entries.flatMap(([, node]) => (node === 'removed' ? [] : node)),
      removed: entries.flatMap(([identity, node]) => (node === 'removed' ? identity : [])),
      ...(isFirst && { isFirst }),
    }
  }
}

function firstOf<T>(items: Iterable<T>, count: number): T[] {
  const taken: T[] = []
  for (const item of items) {
    if (taken.length >= count) break
    taken.push(item)
  }
  return taken
}
