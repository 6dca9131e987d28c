import { describe, expect, it } from 'vitest'
import { formatStatus } from '../../../src/cli/status-view.js'
import { formatAge, formatBytes } from '../../../src/cli/units.js'
import type { InterfaceStatus, PeerStatus } from '../../../src/daemon/local-api-schema.js'

const PEER: PeerStatus = {
  publicKey: 'OwdegSTyhlw7Dbpg8VJUBKXF9CxoQp2gAOdwgqtPVBI=',
  name: null,
  endpoint: null,
  endpointFault: '',
  allowedIps: ['10.0.0.2/32'],
  state: 'idle',
  summary: 'no endpoint known',
  lastHandshakeAt: null,
  lastHandshakeAgeS: null,
  rxBytes: 2048,
  txBytes: 0,
  persistentKeepaliveS: 0,
  hasPresharedKey: false,
  path: null,
}

const STATUS: InterfaceStatus = {
  interface: 'wg0',
  mode: 'tunnel',
  state: 'running',
  pid: 1,
  guardPid: null,
  version: '0',
  configFile: '/etc/overlay/wg0.conf',
  logFile: null,
  publicKey: null,
  listenPort: 51_820,
  fwmark: 0,
  mtu: 1420,
  isUp: true,
  faults: [],
  addresses: [],
  peers: [PEER],
  drops: { sourceNotAllowed: 3 },
  carried: { rxBytes: 0, rxMessages: 0, txBytes: 0, txMessages: 0 },
  networkNamespace: null,
  dataPlane: 'portable, node',
  network: null,
}

const ALL = { hasColour: false, isVerbose: true }

describe('status for people', () => {
  it('tells all there is, with an unnamed peer by its short key', () => {
    expect(formatStatus({ interfaces: [STATUS], crashed: [], unresponsive: [] }, ALL)).toBe(
      [
        'wg0  up  /etc/overlay/wg0.conf',
        '  public key   none: no private key is set',
        '  listen port  51820',
        '  addresses    none',
        '  MTU          1420',
        '  dropped      3 source not allowed',
        '',
        '  Owde…PVBI  no endpoint known',
        '    public key   OwdegSTyhlw7Dbpg8VJUBKXF9CxoQp2gAOdwgqtPVBI=',
        '    endpoint     not known',
        '    allowed IPs  10.0.0.2/32',
        '    handshake    never',
        '    traffic      2.00 KiB received, 0 B sent',
      ].join('\n'),
    )
  })

  it('has a line for each node unless more is asked for', () => {
    const path = { kind: 'punched', rttMs: 21.4, loss: 0, sinceS: 5, isOnline: true } as const
    const node = { ...PEER, rxBytes: 1024, txBytes: 2048 }
    const peers: PeerStatus[] = [
      { ...node, name: 'planner', state: 'connected', allowedIps: ['100.64.0.3/32', 'fd00::3/128'], path },
      {
        ...node,
        name: 'coder',
        allowedIps: ['100.64.0.44/32'],
        path: { ...path, kind: 'relay', rttMs: null },
      },
      { ...node, name: 'db', state: 'unreachable', path: { ...path, isOnline: false } },
      { ...node, name: 'old', state: 'unreachable' },
      { ...PEER, endpointFault: 'its route leads into wg0 itself' },
    ]
    const text = formatStatus(
      { interfaces: [{ ...STATUS, peers }], crashed: [], unresponsive: [] },
      { hasColour: false, isVerbose: false },
    )
    expect(
      text
        .split('\n\n')[1]
        ?.split('\n')
        .map((line) => line.replaceAll(/ {2,}/g, ' | ')),
    ).toEqual([
      ' | planner | 100.64.0.3 | punched | 21.4 ms | 1.00 KiB in, 2.00 KiB out',
      ' | coder | 100.64.0.44 | idle | 1.00 KiB in, 2.00 KiB out',
      ' | db | 10.0.0.2 | offline | 1.00 KiB in, 2.00 KiB out',
      ' | old | 10.0.0.2 | no answer | 1.00 KiB in, 2.00 KiB out | no endpoint known',
      ` | ${PEER.publicKey} | 10.0.0.2 | idle | 2.00 KiB in, 0 B out | its route leads into wg0 itself`,
    ])
  })

  it('names peers that have a name', () => {
    const peers = [{ ...PEER, name: 'laptop' }]
    expect(
      formatStatus({ interfaces: [{ ...STATUS, peers }], crashed: [], unresponsive: [] }, ALL),
    ).toContain('\n  laptop  ')
  })

  it('says in one line who waits for a yes of this node', () => {
    const network = {
      name: 'home',
      node: 'alice',
      hub: 'connected',
      hubDetail: 'websocket',
      removedAt: null,
      mapping: 'unknown',
      seenAs: [],
      mappingLifetimeS: null,
      relays: [],
      stun: [],
      faults: [],
    } as const
    const textOf = (waiting: string[]): string =>
      formatStatus(
        { interfaces: [{ ...STATUS, network: { ...network, waiting } }], crashed: [], unresponsive: [] },
        ALL,
      )
    expect(textOf(['bob', 'carol'])).toContain('\n  asks         bob, carol; see: overlay trust\n')
    expect(textOf([])).not.toContain('asks')
  })

  it('has colour only if asked for', () => {
    const report = {
      interfaces: [STATUS],
      crashed: [{ interface: 'wg1', hint: 'overlay down wg1' }],
      unresponsive: [],
    }
    expect(formatStatus(report, ALL)).not.toContain('\u001b')
    expect(formatStatus(report, { ...ALL, hasColour: true })).toContain('\u001b[32mup\u001b[0m')
  })

  it('tells of daemons that died, and of nothing at all', () => {
    const crashed = [{ interface: 'wg1', hint: 'clean up with: overlay down wg1' }]
    expect(formatStatus({ interfaces: [], crashed, unresponsive: [] }, ALL)).toBe(
      'wg1  its daemon died: clean up with: overlay down wg1',
    )
    const unresponsive = [{ interface: 'wg2', message: 'process 9: no answer' }]
    expect(formatStatus({ interfaces: [], crashed: [], unresponsive }, ALL)).toBe('wg2  process 9: no answer')
    expect(formatStatus({ interfaces: [], crashed: [], unresponsive: [] }, ALL)).toBe('no interface is up')
  })
})

describe('numbers for people', () => {
  it.each([
    [0, 'now'],
    [1, '1 second ago'],
    [61, '1 minute, 1 second ago'],
    [7200, '2 hours ago'],
    [90_061, '1 day, 1 hour ago'],
  ])('%d s is "%s"', (ageS, words) => {
    expect(formatAge(ageS)).toBe(words)
  })

  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.00 KiB'],
    [10 * 1024, '10.0 KiB'],
    [500 * 1024 ** 2, '500 MiB'],
    [3 * 1024 ** 4, '3.00 TiB'],
  ])('%d bytes are "%s"', (bytes, words) => {
    expect(formatBytes(bytes)).toBe(words)
  })
})
