import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { createLogger } from '../../../../src/base/log.js'
import type { AskingNode, HubMessage, NodeInfo, NodeMessage } from '../../../../src/control/messages.js'
import { Netmap, type NetmapChange } from '../../../../src/control/netmap.js'
import type { TrustEntry } from '../../../../src/daemon/local-api-schema.js'
import { NetworkStore } from '../../../../src/daemon/network/network-store.js'
import { Trust } from '../../../../src/daemon/network/trust.js'
import { nobleCrypto } from '../../../../src/wireguard/crypto-noble.js'
import { infoOf, prefixOf, type TestNode, testNode, WALL_MS } from '../../../support/control.js'

const PREFIX6 = prefixOf('fd12:3456:789a::/48')
const OWN = testNode(1)
const BOB = testNode(2)
const MALLORY = testNode(3)
const [B, M] = [BOB, MALLORY].map(({ identity }) => identity.text) as [string, string]
const WELCOME = {
  type: 'welcome',
  network: 'home',
  prefix4: '100.64.0.0/16',
  prefix6: 'fd12:3456:789a::/48',
  name: 'own',
  v4: '100.64.0.1',
  v6: 'fd12:3456:789a::1',
  relays: [],
  stun: [],
  ticket: '',
} as const

/** What a membership does with it, and no sockets. */
class World {
  isHubThere = true
  /** What happened, in order: who could be reached from then on, what was written and sent. */
  readonly events: string[] = []
  readonly netmap: Netmap
  readonly trust: Trust

  constructor(needsConsent = true) {
    this.netmap = new Netmap({
      crypto: nobleCrypto,
      prefix4: prefixOf(WELCOME.prefix4),
      prefix6: PREFIX6,
      ownIdentity: OWN.identity.text,
      wallNowMs: () => WALL_MS,
      isWelcome: (identity) => this.trust.isWelcome(identity),
    })
    this.trust = new Trust({
      ownIdentity: OWN.identity.text,
      netmap: () => this.netmap,
      apply: (change) => this.#apply(change),
      send: (message) => this.#send(message),
      save: () => this.events.push('saved'),
    })
    this.trust.handleWelcome({ ...WELCOME, ...(needsConsent && { needsConsent }) })
  }

  hear(message: Extract<HubMessage, { type: 'nodes' | 'asking' }>): void {
    if (message.type === 'nodes') this.#apply(this.netmap.apply(message))
    this.trust.handleMessage(message)
  }

  asks(node: TestNode, name: string, direction: AskingNode['direction']): void {
    this.hear({
      type: 'asking',
      changed: [{ identity: node.identity.text, name, direction }],
      removed: [],
    })
  }

  brings(node: TestNode, more: Partial<NodeInfo>): void {
    this.hear({ type: 'nodes', changed: [infoOf(node, PREFIX6, more)], removed: [] })
  }

  say(node: string, isRevoked = false): TrustEntry {
    return this.trust.handleOrder({ node, isRevoked })
  }

  states(): Record<string, string> {
    const { nodes } = this.trust.report('own')
    return Object.fromEntries(nodes.map(({ node, state }) => [node, state]))
  }

  #apply(change: NetmapChange | undefined): void {
    for (const { name } of change?.removed ?? []) this.events.push(`lost ${name}`)
    for (const { name } of change?.changed ?? []) this.events.push(`got ${name}`)
  }

  #send(message: NodeMessage): boolean {
    if (this.isHubThere) this.events.push(JSON.stringify(message))
    return this.isHubThere
  }
}

const given = (identity: string, isGiven: boolean): string =>
  JSON.stringify({ type: 'consent', identity, isGiven })

let world: World

beforeEach(() => {
  world = new World()
})

describe('a person', () => {
  it('sees who waits, and whom the own node is to others', () => {
    world.asks(BOB, 'bob', 'theirs')
    world.asks(MALLORY, 'mallory', 'none')
    expect(world.trust.waiting).toEqual(['bob'])
    expect(world.trust.report('own')).toEqual({
      node: 'own',
      identity: OWN.identity.text,
      isConsentNeeded: true,
      nodes: [
        { node: 'bob', identity: B, state: 'waits', detail: '' },
        { node: 'mallory', identity: M, state: 'none', detail: '' },
      ],
    })
  })

  it('says yes, which is written before the hub hears of it', () => {
    world.asks(BOB, 'bob', 'none')
    expect(world.say('bob')).toEqual({ node: 'bob', identity: B, state: 'asked', detail: '' })
    expect(world.events).toEqual(['saved', given(B, true)])
    world.asks(BOB, 'bob', 'ours')
    world.hear({ type: 'asking', changed: [], removed: [B] })
    world.brings(BOB, { name: 'bob' })
    expect(world.states()).toEqual({ bob: 'trusted' })
    expect(world.events.at(-1)).toBe('got bob')
    expect(world.say('bob').state).toBe('trusted')
    expect(world.events).toHaveLength(3)
  })

  it('takes it back, and the node is gone before the hub hears of it', () => {
    world.asks(BOB, 'bob', 'theirs')
    expect(world.say('bob').state).toBe('agreed')
    world.brings(BOB, { name: 'bob' })
    world.events.length = 0
    expect(world.say('bob', true)).toEqual({ node: 'bob', identity: B, state: 'waits', detail: '' })
    expect(world.events).toEqual(['lost bob', 'saved', given(B, false)])
    world.brings(BOB, { name: 'bob' })
    expect(world.netmap.nodes).toEqual([])
    expect(world.states()).toEqual({ bob: 'refused' })
    expect(() => world.say('bob', true)).toThrow('this node has not said yes to "bob"')
  })

  it('decides while the hub is away, which hears of it later', () => {
    world.asks(BOB, 'bob', 'theirs')
    world.isHubThere = false
    expect(world.say('bob').detail).toContain('the hub is not reached now')
    world.isHubThere = true
    world.trust.handleWelcome(WELCOME)
    world.events.length = 0
    world.asks(BOB, 'bob', 'theirs')
    expect(world.events).toEqual([given(B, true)])
  })

  it('does not take another for the one of a name without its identity', () => {
    world.asks(BOB, 'bob', 'theirs')
    world.say('bob')
    world.brings(BOB, { name: 'bob' })
    world.asks(MALLORY, 'bob', 'theirs')
    expect(world.trust.report('own').nodes[0]).toMatchObject({
      state: 'waits',
      detail: `the name was that of ${B} until now`,
    })
    expect(() => world.say('bob')).toThrow(`bob was ${B} until now, and is ${M}`)
    expect(world.netmap.nodes[0]?.identity).toBe(B)
    expect(world.say(M).identity).toBe(M)
    expect(world.events).toContain('lost bob')
    world.brings(MALLORY, { name: 'bob', v4: '100.64.0.9' })
    expect(world.netmap.nodes.map(({ identity }) => identity)).toEqual([M])
  })

  it('says which, where the hub gives one name to two', () => {
    world.asks(BOB, 'bob', 'theirs')
    world.asks(MALLORY, 'bob', 'none')
    expect(() => world.say('bob')).toThrow('there are 2 nodes of the name bob')
    expect(world.say(B).state).toBe('agreed')
  })

  it('hears that nobody of that name is there', () => {
    expect(() => world.say('nobody')).toThrow('nobody of the name "nobody"')
    expect(world.events).toEqual([])
  })

  it('vouches for a node set up anew, where the network asks for no consent too', () => {
    world = new World(false)
    world.brings(BOB, { name: 'bob' })
    world.hear({ type: 'nodes', changed: [], removed: [B] })
    world.brings(MALLORY, { name: 'bob', v4: '100.64.0.9' })
    expect(world.trust.waiting).toEqual([])
    expect(world.states()).toEqual({ bob: 'refused' })
    expect(world.say('bob')).toMatchObject({ identity: M, state: 'trusted' })
    expect(world.events).toEqual(['got bob', 'lost bob', 'got bob'])
    expect(() => world.say('bob', true)).toThrow('does not ask for consent')
  })

  it('cannot vouch for what is forged', () => {
    world = new World(false)
    world.brings(BOB, { name: 'bob', tunnelKey: MALLORY.tunnelKey })
    expect(() => world.say('bob')).toThrow('not signed by its identity')
  })
})

describe('a hub that lies', () => {
  it('brings nobody to whom this node said no yes, and hears so once', () => {
    world.brings(BOB, { name: 'bob' })
    world.brings(BOB, { name: 'bob', isOnline: false })
    expect(world.netmap.nodes).toEqual([])
    expect(world.netmap.faults.get('bob')).toContain('this node has not said yes to it')
    expect(world.events).toEqual([given(B, false)])
    world.trust.handleWelcome(WELCOME)
    world.brings(BOB, { name: 'bob' })
    expect(world.netmap.nodes).toEqual([])
    expect(world.say('bob').state).toBe('trusted')
  })
})

describe('the store of a node', () => {
  const directory = mkdtempSync(join(tmpdir(), 'overlay-network-'))
  const log = createLogger({ level: 'error', write: () => undefined, wallNowMs: () => 0 })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  it('keeps to whom it said yes, also if the last welcome asked for none', () => {
    world.asks(BOB, 'bob', 'theirs')
    world.say('bob')
    world.brings(BOB, { name: 'bob' })
    const store = new NetworkStore('wg7', log, directory)
    const [netmap, consents] = [world.netmap.toStored(), world.trust.toStored()]
    store.flush(() => ({ hubKey: 'key', welcome: WELCOME, netmap, consents }))
    const stored = new NetworkStore('wg7', log, directory).tryRead('key')
    if (stored === undefined) throw new Error('nothing was stored')
    const later = new World(false)
    later.trust.restore(stored.consents)
    expect(later.netmap.restore(stored.netmap).changed.map(({ name }) => name)).toEqual(['bob'])
    later.brings(MALLORY, { name: 'mallory', v4: '100.64.0.9' })
    expect(later.states()).toEqual({ mallory: 'refused', bob: 'trusted' })
    expect(new NetworkStore('wg7', log, directory).tryRead('other key')).toBeUndefined()
  })

  it('reads files of before there was consent', () => {
    const file = join(directory, 'wg7.netmap.json')
    const { consents: _, ...older } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
    writeFileSync(file, JSON.stringify(older))
    const stored = new NetworkStore('wg7', log, directory).tryRead('key')
    expect(stored?.consents).toEqual({ isNeeded: false, given: [] })
    expect(stored?.netmap.nodes).toHaveLength(1)
  })
})
