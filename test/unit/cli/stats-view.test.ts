import { expect, test } from 'vitest'
import { formatStats } from '../../../src/cli/stats-view.js'
import type { InterfaceStatus, StatusReport } from '../../../src/daemon/local-api-schema.js'

const STATUS: InterfaceStatus = {
  interface: 'wg0',
  mode: 'tunnel',
  state: 'running',
  pid: 1,
  guardPid: null,
  version: '0',
  configFile: null,
  logFile: null,
  publicKey: null,
  listenPort: 51_820,
  fwmark: 0,
  mtu: 1420,
  isUp: true,
  faults: [],
  addresses: [],
  peers: [],
  drops: { sourceNotAllowed: 3, unheardOf: 1, handshakeMac1Invalid: 12 },
  carried: { rxBytes: 2048, rxMessages: 3, txBytes: 1024, txMessages: 2 },
  networkNamespace: null,
  dataPlane: 'native, scalar, 1 thread each way, TSO GSO',
  network: null,
}

const reportOf = (...interfaces: readonly InterfaceStatus[]): StatusReport => ({
  interfaces,
  crashed: [],
  unresponsive: [],
})

test('tells what was carried and dropped, the most frequent first', () => {
  expect(formatStats(reportOf(STATUS))).toBe(
    [
      'wg0',
      '  data plane   native, scalar, 1 thread each way, TSO GSO',
      '  received     3 messages, 2.00 KiB',
      '  sent         2 messages, 1.00 KiB',
      '  dropped',
      '            12 handshakeMac1Invalid     in: from somebody who does not know our public key',
      '             3 sourceNotAllowed         in: the source is not among the AllowedIPs of the peer that sent it',
      '             1 unheardOf',
    ].join('\n'),
  )
})

test('tells that nothing was dropped, or is up', () => {
  expect(formatStats(reportOf({ ...STATUS, drops: {} }))).toContain('  dropped      nothing')
  expect(formatStats(reportOf())).toBe('no interface is up')
})

test('tells of interfaces that cannot be asked', () => {
  const crashed = [{ interface: 'wg1', hint: 'clean up' }]
  const unresponsive = [{ interface: 'wg2', message: 'no answer' }]
  expect(formatStats({ interfaces: [], crashed, unresponsive })).toBe(
    'wg1: its daemon died: clean up\n\nwg2: no answer',
  )
})
