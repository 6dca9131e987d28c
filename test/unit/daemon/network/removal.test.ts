import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createLogger } from '../../../../src/base/log.js'
import type { Welcome } from '../../../../src/control/messages.js'
import { NetworkStore } from '../../../../src/daemon/network/network-store.js'
import { describeRemoval } from '../../../../src/daemon/network/removal.js'

const AT_S: number = Date.UTC(2026, 5, 1, 7, 9, 30) / 1000
const LOG = createLogger({ level: 'error', write: () => undefined, wallNowMs: () => 0 })
const WELCOME: Welcome = {
  type: 'welcome',
  network: 'home',
  prefix4: '100.64.0.0/16',
  prefix6: 'fd00::/48',
  name: 'planner',
  v4: '100.64.0.7',
  v6: 'fd00::7',
  relays: [],
  stun: [],
  ticket: '',
}
const TRUST = { pins: { owners: {}, keys: {} }, consents: { isNeeded: false, given: [] } }

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlay-removal-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

it('says when the node was put out of which network, and what to type', () => {
  const text = describeRemoval({
    name: 'planner',
    network: 'home',
    atS: AT_S,
    configFile: '/etc/overlay/home.conf',
  })
  expect(text).toContain('planner was removed from the network home on 2026-06-01 07:09 UTC')
  expect(text).toContain('sudo overlay leave /etc/overlay/home.conf; sudo overlay join TOKEN')
})

it('is still known after a restart', () => {
  const network = { hubKey: 'KEY', welcome: WELCOME, netmap: { nodes: [] } }
  const store = new NetworkStore('home', LOG, directory)
  store.flush(() => ({ network: { ...network, removedAtS: AT_S }, trust: TRUST }))
  expect(new NetworkStore('home', LOG, directory).tryReadNetwork('KEY')?.removedAtS).toBe(AT_S)
  store.flush(() => ({ network, trust: TRUST }))
  expect(new NetworkStore('home', LOG, directory).tryReadNetwork('KEY')).toEqual(network)
})
