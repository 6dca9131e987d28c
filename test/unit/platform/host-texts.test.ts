import { describe, expect, it } from 'vitest'
import { firewallTableName, formatFirewall } from '../../../src/platform/firewall.js'
import { tryProcessStart } from '../../../src/platform/processes.js'
import { formatRecord } from '../../../src/platform/resolver.js'

describe('the packet filter script', () => {
  const script = formatFirewall({
    family: 'ip',
    interfaceName: 'wg0',
    addresses: ['10.0.0.1', '10.0.0.2'],
    mark: 51_820,
  })

  it('replaces the table whole, so that applying it twice is applying it once', () => {
    expect(script.split('\n').slice(0, 3)).toEqual([
      'add table ip overlay-wg0',
      'delete table ip overlay-wg0',
      'table ip overlay-wg0 {',
    ])
  })

  it('guards each of the tunnel addresses against packets from elsewhere', () => {
    expect(script).toContain('iifname != "wg0" ip daddr 10.0.0.1 fib saddr type != local drop')
    expect(script).toContain('iifname != "wg0" ip daddr 10.0.0.2 fib saddr type != local drop')
  })

  it('keeps the mark of outer datagrams for their answers', () => {
    expect(script).toContain('meta l4proto udp meta mark 51820 ct mark set meta mark')
    expect(script).toContain('meta l4proto udp meta mark set ct mark')
  })

  it('names tables in characters that nft takes, and different interfaces differently', () => {
    const names = ['a=b', 'a+b', 'a.b', 'a-b', 'a_b'].map(firewallTableName)
    for (const name of names) expect(name).toMatch(/^[a-zA-Z][\w./-]*$/)
    expect(new Set(names).size).toBe(names.length)
  })
})

describe('the record of name servers', () => {
  it('lists servers, then search domains on one line', () => {
    const servers = ['10.0.0.53', 'fd00::53']
    const entry = { kind: 'dns', interfaceName: 'wg0', servers, searchDomains: ['a', 'b'] } as const
    expect(formatRecord(entry)).toBe('nameserver 10.0.0.53\nnameserver fd00::53\nsearch a b\n')
  })
})

describe('the start of a process', () => {
  it('is known of a living one and stays the same', () => {
    expect(tryProcessStart(process.pid)).toMatch(/^\d+$/)
    expect(tryProcessStart(process.pid)).toBe(tryProcessStart(process.pid))
  })

  it('is not known of one that never was', () => {
    expect(tryProcessStart(4_194_305)).toBeUndefined()
  })
})
