import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError, ERROR_CODES } from '../../../../src/base/errors.js'
import { createLogger } from '../../../../src/base/log.js'
import type { AskingNode, HubMessage, NodeInfo, NodeMessage } from '../../../../src/control/messages.js'
import { Netmap, type NetmapChange } from '../../../../src/control/netmap.js'
import { Pins } from '../../../../src/control/pins.js'
import type { TrustEntry } from '../../../../src/daemon/local-api-schema.js'
import { NetworkStore, type StoredState } from '../../../../src/daemon/network/network-store.js'
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
  isDiskFull = false
  /** What happened, in order: who could be reached from then on, what was written and sent. */
  readonly events: string[] = []
  readonly netmap: Netmap
  readonly trust: Trust
  readonly pins = new Pins()

  constructor(needsConsent = true) {
    this.netmap = new Netmap({
      crypto: nobleCrypto,
      prefix4: prefixOf(WELCOME.prefix4),
      prefix6: PREFIX6,
      pins: this.pins,
      ownIdentity: OWN.identity.text,
      wallNowMs: () => WALL_MS,
      isWelcome: (identity) => this.trust.isWelcome(identity),
    })
    this.trust = new Trust({
      ownIdentity: OWN.identity.text,
      pins: this.pins,
      netmap: () => this.netmap,
      apply: (change) => this.#apply(change),
      send: (message) => this.#send(message),
      save: () => {
        if (this.isDiskFull) throw new AppError(ERROR_CODES.platform, 'no space')
        this.events.push('saved')
      },
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
    expect(world.events).toEqual(['saved', 'lost bob', given(B, false)])
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
    expect(world.events).toEqual(['got bob', 'lost bob', 'saved', 'got bob'])
    expect(() => world.say('bob', true)).toThrow('does not ask for consent')
  })

  it('is told when a decision cannot be stored, and then nothing has changed', () => {
    world.asks(BOB, 'bob', 'theirs')
    world.isDiskFull = true
    expect(() => world.say('bob')).toThrow('no space')
    expect([world.states(), world.events]).toEqual([{ bob: 'waits' }, []])
    expect(world.pins.ownerOf('bob')).toBeUndefined()
    world.isDiskFull = false
    world.say('bob')
    world.brings(BOB, { name: 'bob' })
    world.isDiskFull = true
    world.events.length = 0
    expect(() => world.say('bob', true)).toThrow('no space')
    expect([world.states(), world.events]).toEqual([{ bob: 'trusted' }, []])
    world = new World(false)
    world.brings(BOB, { name: 'bob' })
    world.hear({ type: 'nodes', changed: [], removed: [B] })
    world.brings(MALLORY, { name: 'bob', v4: '100.64.0.9' })
    world.isDiskFull = true
    expect(() => world.say('bob')).toThrow('no space')
    expect([world.states(), world.pins.ownerOf('bob')]).toEqual([{ bob: 'refused' }, B])
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
  let directory: string
  let lines: string[]
  const open = (): NetworkStore => {
    const write = (line: string): number => lines.push(line)
    return new NetworkStore('wg7', createLogger({ level: 'info', write, wallNowMs: () => 0 }), directory)
  }
  const trustFile = (): string => join(directory, 'wg7.trust.json')
  const state = (): StoredState => ({
    network: { hubKey: 'key', welcome: WELCOME, netmap: world.netmap.toStored() },
    trust: world.trust.toStored(),
  })

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'overlay-network-'))
    lines = []
    world.asks(BOB, 'bob', 'theirs')
    world.say('bob')
    world.brings(BOB, { name: 'bob' })
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  it('keeps to whom it said yes, also if the last welcome asked for none', () => {
    expect(open().readTrust()).toBeUndefined()
    expect(open().flush(state)).toBe(true)
    for (const file of [trustFile(), join(directory, 'wg7.netmap.json')]) {
      expect(statSync(file).mode & 0o777).toBe(0o600)
    }
    const [network, trust] = [open().tryReadNetwork('key'), open().readTrust()]
    if (network === undefined || trust === undefined) throw new Error('nothing was stored')
    const later = new World(false)
    later.trust.restore(trust)
    expect(later.netmap.restore(network.netmap).changed.map(({ name }) => name)).toEqual(['bob'])
    later.brings(MALLORY, { name: 'mallory', v4: '100.64.0.9' })
    expect(later.states()).toEqual({ mallory: 'refused', bob: 'trusted' })
    expect(open().tryReadNetwork('other key')).toBeUndefined()
  })

  it('goes on without what the hub said last, if that is damaged', () => {
    open().flush(state)
    writeFileSync(join(directory, 'wg7.netmap.json'), '{')
    expect(open().tryReadNetwork('key')).toBeUndefined()
    expect(lines.join()).toContain('netmap.unreadable')
    expect(open().readTrust()?.consents.given).toEqual([{ identity: B, name: 'bob' }])
  })

  it.each(['', '{', '{"pins":{}}', 'null'])('trusts nobody if what it decided reads as "%s"', (text) => {
    open().flush(state)
    writeFileSync(trustFile(), text)
    expect(() => open().readTrust()).toThrow(`cannot read ${trustFile()}, which says whom this node trusts`)
    expect(readFileSync(trustFile(), 'utf8')).toBe(text)
  })

  it('fails where it cannot write, tells why, and says so no more when it can', () => {
    const store = open()
    store.flush(state)
    const before = readFileSync(trustFile(), 'utf8')
    rmSync(directory, { recursive: true })
    world.say('bob', true)
    expect(() => store.saveTrust(world.trust.toStored())).toThrow('so nothing was changed')
    expect(store.flush(state)).toBe(false)
    expect(store.fault).toContain('ENOENT')
    expect(lines.join()).toContain('network.unsaved')
    mkdirSync(directory)
    expect(store.flush(state)).toBe(true)
    expect(store.fault).toBe('')
    expect(readFileSync(trustFile(), 'utf8')).not.toBe(before)
  })
})
