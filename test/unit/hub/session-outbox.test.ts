import { describe, expect, it } from 'vitest'
import type { HubMessage, NodesMessage } from '../../../src/control/messages.js'
import { SessionOutbox } from '../../../src/hub/session-outbox.js'
import { infoOf, prefixOf, testNode } from '../../support/control.js'

const PREFIX6 = prefixOf('fd12:3456:789a::/48')
const ALICE = infoOf(testNode(1), PREFIX6, { name: 'alice' })
const BOB = infoOf(testNode(2), PREFIX6, { name: 'bob' })

function drain(outbox: SessionOutbox): HubMessage[] {
  const messages: HubMessage[] = []
  for (let next = outbox.shift(); next !== undefined; next = outbox.shift()) messages.push(next)
  expect(outbox.isEmpty).toBe(true)
  return messages
}

function nodes(changed: NodesMessage['changed'], removed: readonly string[] = []): NodesMessage {
  return { type: 'nodes', changed, removed }
}

describe('what a slow node has still to hear', () => {
  it('is the latest of each other node, once', () => {
    const outbox = new SessionOutbox()
    expect(outbox.isEmpty).toBe(true)
    for (let i = 0; i < 10_000; i++) outbox.push(nodes([{ ...ALICE, isOnline: i % 2 === 0 }]))
    outbox.push(nodes([BOB]))
    outbox.push(nodes([], [BOB.identity]))
    outbox.push(nodes([], [ALICE.identity]))
    outbox.push(nodes([ALICE]))
    expect(drain(outbox)).toEqual([nodes([ALICE], [BOB.identity])])
  })

  it('ends a list when all of it is out', () => {
    const outbox = new SessionOutbox()
    const many = Array.from({ length: 60 }, (_, i) => infoOf(testNode(i + 10), PREFIX6))
    outbox.push(nodes(many.slice(0, 40)))
    outbox.push({ ...nodes(many.slice(40)), isComplete: true })
    outbox.push(nodes([ALICE]))
    const sent = drain(outbox)
    expect(sent.map((message) => message.type === 'nodes' && message.changed.length)).toEqual([40, 21])
    expect(sent.map((message) => message.type === 'nodes' && message.isComplete)).toEqual([undefined, true])
    outbox.push({ ...nodes([]), isComplete: true })
    expect(drain(outbox)).toEqual([{ ...nodes([]), isComplete: true }])
  })

  it('is whom it could ask, as it is now', () => {
    const outbox = new SessionOutbox()
    const [a, b] = [ALICE, BOB].map(({ identity, name }) => ({ identity, name, direction: 'none' as const }))
    if (a === undefined || b === undefined) throw new Error('nobody')
    outbox.push({ type: 'asking', changed: [b], removed: [] })
    outbox.push({ type: 'asking', changed: [a], removed: [], isFirst: true })
    outbox.push({ type: 'asking', changed: [b], removed: [] })
    outbox.push({ type: 'asking', changed: [], removed: [a.identity] })
    expect(drain(outbox)).toEqual([{ type: 'asking', changed: [b], removed: [a.identity], isFirst: true }])
  })

  it('is the last ticket, one pong, and the latest signals', () => {
    const outbox = new SessionOutbox()
    let dropped = 0
    for (let i = 0; i < 100; i++) {
      dropped += outbox.push({ type: 'signal', from: ALICE.identity, body: String(i) })
      outbox.push({ type: 'pong' })
      outbox.push({ type: 'ticket', ticket: String(i) })
    }
    const sent = drain(outbox)
    expect(sent).toHaveLength(66)
    expect(sent.slice(0, 2)).toEqual([
      { type: 'ticket', ticket: '99' },
      { type: 'signal', from: ALICE.identity, body: '36' },
    ])
    expect(sent.at(-1)).toEqual({ type: 'pong' })
    expect(dropped).toBe(36)
  })
})
