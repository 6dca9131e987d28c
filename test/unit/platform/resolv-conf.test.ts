import { describe, expect, it } from 'vitest'
import {
  hasEntry,
  hasTraceOf,
  otherServers,
  type ResolverEntry,
  withEntry,
  withoutEntry,
} from '../../../src/platform/resolv-conf.js'

const BEFORE =
  '# by somebody\nnameserver 192.0.2.53\nnameserver 192.0.2.54\nsearch corp.example\noptions edns0\n'

function names(interfaceName: string, server: string): ResolverEntry {
  return { kind: 'names', interfaceName, servers: [server], searchDomains: [`${interfaceName}.overlay`] }
}

const home = names('home', '100.64.0.1')
const work = names('work', '100.65.0.1')
const tunnel: ResolverEntry = {
  kind: 'dns',
  interfaceName: 'wg0',
  servers: ['10.0.0.53', '10.0.0.54'],
  searchDomains: ['vpn.example'],
}

/** As the resolver reads it: the first three servers, the last search line. */
function read(text: string): { servers: string[]; search: string[] } {
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/))
  const servers = lines.flatMap(([word, server = '']) => (word === 'nameserver' ? [server] : []))
  const search = lines.findLast(([word]) => word === 'search' || word === 'domain')?.slice(1) ?? []
  return { servers: servers.slice(0, 3), search }
}

describe('lines in resolv.conf', () => {
  it('put a node first among the servers, and its domain last among the searched', () => {
    const text = withEntry(BEFORE, home)
    expect(read(text)).toEqual({
      servers: ['100.64.0.1', '192.0.2.53', '192.0.2.54'],
      search: ['corp.example', 'home.overlay'],
    })
    expect(text).toContain('options edns0')
  })

  it('put servers of a tunnel file in place of all others', () => {
    expect(read(withEntry(BEFORE, tunnel))).toEqual({
      servers: ['10.0.0.53', '10.0.0.54'],
      search: ['vpn.example', 'corp.example'],
    })
  })

  it.each([[[home]], [[tunnel]], [[home, tunnel]], [[tunnel, home]], [[home, work]], [[home, work, tunnel]]])(
    'go without a trace, in whatever order: %#',
    (entries) => {
      for (const order of [entries, entries.toReversed()]) {
        let text = entries.reduce(withEntry, BEFORE)
        for (const entry of order) text = withoutEntry(text, entry)
        expect(text).toBe(BEFORE)
        expect(entries.some((entry) => hasTraceOf(text, entry))).toBe(false)
      }
    },
  )

  it('are there once, however often they are put', () => {
    expect(withEntry(withEntry(BEFORE, home), home)).toBe(withEntry(BEFORE, home))
    expect(withEntry(withEntry(BEFORE, tunnel), tunnel)).toBe(withEntry(BEFORE, tunnel))
  })

  it('of two networks are both searched, and one goes without the other', () => {
    const both = withEntry(withEntry(BEFORE, home), work)
    expect(read(both).search).toEqual(['corp.example', 'home.overlay', 'work.overlay'])
    expect(read(withoutEntry(both, home))).toEqual({
      servers: ['100.65.0.1', '192.0.2.53', '192.0.2.54'],
      search: ['corp.example', 'work.overlay'],
    })
  })

  it('leave what others changed meanwhile', () => {
    const changed = withEntry(BEFORE, home).replace('192.0.2.54', '192.0.2.99')
    expect(withoutEntry(changed, home)).toBe(BEFORE.replace('192.0.2.54', '192.0.2.99'))
  })

  it('are missed when another program wrote the file anew', () => {
    expect(hasEntry(withEntry(BEFORE, home), home)).toBe(true)
    expect(hasEntry(withEntry(BEFORE, tunnel), tunnel)).toBe(true)
    expect(hasEntry(BEFORE, home)).toBe(false)
    expect(hasEntry(`${withEntry(BEFORE, home)}search other.example\n`, home)).toBe(false)
  })

  it('work on a file that is empty, and on one whose last line has no end', () => {
    expect(withoutEntry(withEntry('', home), home)).toBe('')
    expect(read(withEntry('nameserver 192.0.2.53', home)).servers).toEqual(['100.64.0.1', '192.0.2.53'])
  })

  it('of an earlier version are taken away', () => {
    const old = `# the next line is of overlay, interface home\nnameserver 100.64.0.1\n${BEFORE}`
    expect(withoutEntry(old, home)).toBe(BEFORE)
  })

  it('tell whom a node may ask: no node of any network, but servers of tunnel files', () => {
    expect(otherServers([home, work].reduce(withEntry, BEFORE))).toEqual(['192.0.2.53', '192.0.2.54'])
    expect(otherServers([home, tunnel].reduce(withEntry, BEFORE))).toEqual(['10.0.0.53', '10.0.0.54'])
  })
})
