import { describe, expect, it } from 'vitest'
import { chooseNode } from '../../../src/cli/find-node.js'
import type { InterfaceStatus, PeerStatus } from '../../../src/daemon/local-api-schema.js'

const peer = (name: string | null, address: string, publicKey = `key of ${name}`): PeerStatus =>
  ({ name, publicKey, allowedIps: [`${address}/32`, 'fd00::7/128'] }) as unknown as PeerStatus

const status = (name: string, network: string | null, peers: readonly PeerStatus[]): InterfaceStatus =>
  ({
    interface: name,
    network: network === null ? null : { name: network },
    peers,
  }) as unknown as InterfaceStatus

const HOME = status('home', 'home', [peer('planner', '100.64.0.3'), peer('coder', '100.64.0.4')])
const WORK = status('work', 'lab', [peer('planner', '100.65.0.3', 'another')])
const WG0 = status('wg0', null, [peer(null, '10.0.0.2', 'plain')])

const found = (word: string, statuses = [HOME, WG0]): string => chooseNode(word, statuses).interfaceName

describe('a node on the command line', () => {
  it.each(['coder', 'Coder', 'coder.home.overlay', 'coder.home.overlay.', '100.64.0.4', 'key of coder'])(
    'is found by "%s"',
    (word) => {
      expect(chooseNode(word, [HOME, WORK, WG0])).toEqual({ interfaceName: 'home', peer: HOME.peers[1] })
    },
  )

  it('is found on the one interface that has it', () => {
    expect(found('10.0.0.2')).toBe('wg0')
    expect(found('plain')).toBe('wg0')
    expect(found('planner.lab.overlay', [HOME, WORK])).toBe('work')
  })

  it('must be one alone', () => {
    expect(() => found('planner', [HOME, WORK])).toThrow('several interfaces have a node planner: home, work')
  })

  it('must be known', () => {
    expect(() => found('nobody')).toThrow('there is no node nobody')
    expect(() => found('planner.lab.overlay', [HOME])).toThrow('there is no node')
    expect(() => found('10.0.0', [WG0])).toThrow('there is no node')
  })
})
