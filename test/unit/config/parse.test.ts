import { describe, expect, it } from 'vitest'
import { ConfigError, type ConfigIssue } from '../../../src/base/errors.js'
import {
  type ParseOptions,
  parseConfig,
  parseConfigWithWarnings,
  parsePrivateKey,
} from '../../../src/config/parse.js'
import { formatIp } from '../../../src/net/ip.js'
import { formatPrefix } from '../../../src/net/prefix.js'
import { formatKeyBase64 } from '../../../src/wireguard/keys.js'
import { FULL_FILE, sampleKey } from './samples.js'

function issuesOf(text: string, options?: ParseOptions): readonly ConfigIssue[] {
  try {
    parseConfig(text, 'wg0.conf', options)
  } catch (error) {
    if (error instanceof ConfigError) return error.issues
    throw error
  }
  return []
}

/** The message and hint of the one fault of `text`. */
function faultOf(text: string): string {
  const issues = issuesOf(text)
  expect(issues).toHaveLength(1)
  return issues.map((issue) => `${issue.line}: ${issue.message} (${issue.hint})`).join()
}

function inPeer(lines: string): string {
  return `[Peer]\nPublicKey = ${sampleKey(2)}\n${lines}`
}

describe('a tunnel file', () => {
  it('is read whole', () => {
    const { interface: settings, peers } = parseConfig(FULL_FILE, 'wg0.conf', { needsPrivateKey: true })
    expect(settings.privateKey?.[0]).toBe(1)
    expect(settings).toMatchObject({ listenPort: 51820, fwMark: 0xca6c, mtu: 1380, table: 'off' })
    expect(settings.addresses.map(formatPrefix)).toEqual(['10.0.0.1/24', 'fd00::1/64', '10.0.1.1/32'])
    expect(settings.dns.servers.map(formatIp)).toEqual(['10.0.0.53', 'fd00::53'])
    expect(settings.dns.searchDomains).toEqual(['example.org'])
    expect(settings.preUp).toEqual(['echo "a, b" > /tmp/x'])
    expect(settings.postUp).toEqual(['iptables -A FORWARD -i %i -j ACCEPT', 'true'])
    expect(settings.preDown).toEqual(['false'])
    expect(settings.postDown).toEqual(['echo down'])
    expect(settings.saveConfig).toBe(true)
    const [alice, other] = peers
    expect(alice).toMatchObject({ name: 'alice', persistentKeepaliveS: 25 })
    expect(alice?.presharedKey?.[0]).toBe(3)
    expect(alice?.allowedIps.map(formatPrefix)).toEqual(['10.0.0.2/32', 'fd00::2/128', '10.2.0.0/16'])
    expect(alice?.endpoint).toEqual({ host: 'vpn.example.org', port: 51821 })
    expect(other).toMatchObject({ name: undefined, allowedIps: [], persistentKeepaliveS: 0 })
    expect(other?.endpoint).toEqual({ host: 'fe80::1%eth0', port: 1 })
  })

  it('may be UTF-8 only', () => {
    for (const bytes of [
      Buffer.from(`\ufeff${FULL_FILE}`, 'utf16le'),
      Buffer.from(FULL_FILE, 'utf16le'),
      Buffer.from(`\ufeff${FULL_FILE}`, 'utf16le').swap16(),
    ]) {
      expect(faultOf(bytes.toString('utf8'))).toBe('0: the file is UTF-16 (save it as UTF-8)')
    }
  })

  it('may have an IPv6 endpoint without brackets, as wg takes it', () => {
    const { config, warnings } = parseConfigWithWarnings(inPeer('Endpoint = 2001:db8::1:51821'), 'wg0.conf')
    expect(config.peers[0]?.endpoint).toEqual({ host: '2001:db8::1', port: 51821 })
    expect(warnings.map(({ message, hint }) => [message, hint])).toEqual([
      ['Endpoint has no brackets', 'it is taken as [2001:db8::1]:51821'],
    ])
    for (const wrong of ['2001:db8::1', '2001:db8::1:70000', 'a:b:1', '1.2.3.4:5:6', '[2001:db8::1:51821']) {
      expect(faultOf(inPeer(`Endpoint = ${wrong}`)), wrong).toContain('Endpoint cannot be')
    }
  })

  it.each(['vpn.example:0', '[2001:db8::1]:0', '2001:db8::1:0'])(
    'may have the endpoint %s, as wg takes it',
    (text) => {
      const { config, warnings } = parseConfigWithWarnings(inPeer(`Endpoint = ${text}`), 'wg0.conf')
      expect(config.peers[0]?.endpoint?.port).toBe(0)
      expect(warnings.map(({ message }) => message)).toEqual(['Endpoint has port 0'])
    },
  )

  describe('of AmneziaWG', () => {
    const amnezia = (lines: string): string =>
      `[Interface]\nPrivateKey = ${sampleKey(1)}\n${lines}\n${inPeer('AllowedIPs = 10.0.0.1')}`

    it('is named as such in one line if it changes messages', () => {
      const text = amnezia(
        'Jc = 6\nJmin = 10\nS1 = 65\nS4 = 12\nH1 = 1487709344-2131140817\nI1 = <b 0x08>\nI2 =',
      )
      expect(faultOf(text)).toMatch(/^3: the file is of AmneziaWG/)
    })

    it('is taken if it does not', () => {
      const text = amnezia('Jc = 3\nJmin = 10\nJmax = 50\nS1 = 0\nS2 = 0\nH1 = 1\nH2 = 2\nH3 = 3\nH4 = 4')
      const { warnings } = parseConfigWithWarnings(text, 'wg0.conf')
      expect(warnings.map(({ line, message }) => [line, message])).toEqual([[3, 'the file is of AmneziaWG']])
    })
  })

  it('means the same with CRLF, a byte order mark, other letter case and no last line end', () => {
    const odd = `\ufeff${FULL_FILE.replace('[Interface]', '[ INTERFACE ]').replace('MTU', 'mtu').trimEnd()}`
    expect(parseConfig(odd.replaceAll('\n', '\r\n'), 'a')).toEqual(parseConfig(FULL_FILE, 'b'))
  })

  it('may be empty unless it is to be brought up', () => {
    expect(parseConfig('', 'a').peers).toEqual([])
    const [issue] = issuesOf('# nothing\n', { needsPrivateKey: true })
    expect(issue).toMatchObject({ file: 'wg0.conf', line: 0, message: 'there is no private key' })
    expect(issuesOf('[Interface]\nPrivateKeyFile = /etc/k y\n', { needsPrivateKey: true })).toEqual([])
    const hook = 'PostUp = wg set %i private-key /etc/key'
    expect(issuesOf(`[Interface]\n${hook}\n`, { needsPrivateKey: true })).toEqual([])
  })

  it('may name a private key or a file with it, not both', () => {
    const text = `[Interface]\nPrivateKey = ${sampleKey(1)}\nPrivateKeyFile = /k\n`
    expect(faultOf(text)).toContain('3: PrivateKey is given too, on line 2')
  })

  it.each([
    ['FwMark = off', { fwMark: 0 }],
    ['FwMark = 51820', { fwMark: 51820 }],
    ['FwMark = 0xFFFFFFFF', { fwMark: 0xffffffff }],
    ['Table = AUTO', { table: 'auto' }],
    ['Table = main', { table: 254 }],
    ['Table = local', { table: 255 }],
    ['Table = default', { table: 253 }],
    ['Table = 4294967295', { table: 0xffffffff }],
    ['ListenPort = 0', { listenPort: 0 }],
    ['SaveConfig = False', { saveConfig: false }],
    ['PostUp =', { postUp: [] }],
    ['[Interface]\nMTU = 1400', { mtu: 1400 }],
  ])('understands %j', (line, expected) => {
    expect(parseConfig(`[Interface]\n${line}`, 'a').interface).toMatchObject(expected)
  })

  it('splits addresses at blanks and commas and drops blanks inside values of wg', () => {
    const text = `[Interface]\nAddress = 10.0.0.1/8 10.0.0.2,\n${inPeer('AllowedIPs = 10.0.0.0 / 8 , ::/0')}`
    const config = parseConfig(text, 'a')
    expect(config.interface.addresses.map(formatPrefix)).toEqual(['10.0.0.1/8', '10.0.0.2/32'])
    expect(config.peers[0]?.allowedIps.map(formatPrefix)).toEqual(['10.0.0.0/8', '::/0'])
  })

  it('takes an all-zero preshared key for none', () => {
    expect(parseConfig(inPeer(`PresharedKey = ${sampleKey(0)}`), 'a').peers[0]?.presharedKey).toBeUndefined()
  })
})

describe('faults', () => {
  it('are reported all at once, each with its line and what is allowed', () => {
    const text = [
      '[Interface]',
      'ListenPort = 70000',
      'Adress = 10.0.0.1/24',
      'Address = 10.0.0.1/33',
      '[Peer]',
      'AllowedIPs = 1.2.3, 10.0.0.0/8, 10.0.0.0/40',
      'Endpoint = example.org',
      'PersistentKeepalive = often',
    ].join('\n')
    const issues = issuesOf(text)
    expect(issues.map((issue) => issue.line)).toEqual([2, 3, 4, 5, 6, 6, 7, 8])
    const texts = issues.map((issue) => `${issue.message} | ${issue.hint}`)
    expect(texts).toEqual([
      'ListenPort cannot be "70000" | allowed: a number from 0 to 65535',
      'unknown key "Adress" in [Interface] | did you mean Address?',
      expect.stringContaining('Address cannot be "10.0.0.1/33"'),
      expect.stringContaining('this [Peer] has no PublicKey'),
      expect.stringContaining('AllowedIPs cannot be "1.2.3"'),
      expect.stringContaining('AllowedIPs cannot be "10.0.0.0/40"'),
      expect.stringContaining('Endpoint cannot be "example.org"'),
      'PersistentKeepalive cannot be "often" | allowed: off, or seconds from 1 to 65535',
    ])
  })

  it.each([
    ['[Interfaec]\nFoo = 1', '1: unknown section "Interfaec" (did you mean Interface?)'],
    ['[Mesh]\nHub = x', '1: unknown section "Mesh" (sections are Interface, Peer, Overlay)'],
    ['MTU = 1', '1: key "MTU" stands before any section'],
    ['[Interface]\nEndpoint = a:1', '2: unknown key "Endpoint" in [Interface] (it belongs to [Peer])'],
    ['[Interface]\nMTU = 1400\nMTU = 1401', '3: MTU is given twice, first on line 2'],
    ['[Interface]\nMTU =', '2: MTU has no value'],
    ['[Interface]\nMTU', '2: the line is neither a section nor a setting'],
    ['[Interface', '1: the section name has no closing bracket'],
    ['[Interface]\nMTU = 1\u0007', '2: the line holds a control character'],
    [
      '[Interface]\nAddress = 10.0.0.1/8, 10.0.0.1/9 10.0.0.1/8',
      '2: Address 10.0.0.1/8 is on line 2 already',
    ],
    ['[Interface]\nAddress = ::1/8\nAddress = ::1/9', '3: Address ::1 is on line 2 already'],
    ['[Interface]\nTable = 0', '2: Table cannot be "0"'],
    ['[Interface]\nDNS = 1.2.3.400', '2: DNS cannot be "1.2.3.400"'],
    ['[Interface]\nSaveConfig = yes', '2: SaveConfig cannot be "yes" (allowed: true or false)'],
    ['[Interface]\nFwMark = 0x100000000', '2: FwMark cannot be "0x100000000"'],
    [inPeer('AllowedIPs = 10.0.0.0/8,'), '3: AllowedIPs cannot be ""'],
    [inPeer('Endpoint = [::1]:65536'), '3: Endpoint cannot be "[::1]:65536"'],
    [inPeer('Endpoint = fe80::1:518200'), '3: Endpoint cannot be "fe80::1:518200"'],
    [inPeer('PersistentKeepalive = 65536'), '3: PersistentKeepalive cannot be "65536"'],
    [inPeer('Name = not ok'), '3: Name cannot be "not ok"'],
    [inPeer(inPeer('')), `4: PublicKey ${sampleKey(2)} is on line 2 already`],
    ['a\0b', '1: the file is no text file'],
  ])('of %j are told', (text, expected) => {
    expect(faultOf(text)).toContain(expected)
  })

  it.each(['ListenPort', 'MTU', 'Table', 'FwMark', 'Address', 'DNS', 'SaveConfig'])(
    'show no key that was put after %s',
    (name) => {
      const key = '8GboYh0YF3q/hJhoPFoL3HM/ObgOuC8YI6UXWsgWL2M='
      const fault = () => parseConfig(`[Interface]\n${name} = ${key}\n`, 'wg0.conf')
      expect(fault).toThrow(`${name} cannot be that (not shown`)
      expect(fault).not.toThrow(key.slice(0, 40))
    },
  )

  it('tell two peers of the same name', () => {
    const text = `${inPeer('Name = a')}\n[Peer]\nPublicKey = ${sampleKey(5)}\nName = a`
    expect(faultOf(text)).toContain('6: Name a is on line 3 already')
  })

  it('are bounded in number and in length', () => {
    const issues = issuesOf('nonsense\n'.repeat(500))
    expect(issues).toHaveLength(101)
    expect(issues.at(-1)?.message).toBe('and 400 more')
    expect(faultOf(`[Interface]\nMTU = ${'9'.repeat(1000)}`).length).toBeLessThan(200)
    expect(faultOf(`# ${'x'.repeat(1024 * 1024)}`)).toContain('1: the line is longer than 1048576')
    expect(faultOf('\n'.repeat(32 * 1024 * 1024 + 1))).toContain('the file is longer than')
  })

  it.each([
    ['PrivateKey = SECRETSECRET', 'has 12 characters; a key has 44'],
    [`PrivateKey = SECRET${'!'.repeat(38)}`, 'characters that are not base64'],
    [`PrivateKey = SECRET${'A'.repeat(36)}B=`, 'is not the base64 of 32 bytes'],
    [`PrivateKey = ${sampleKey(0)}`, 'is all zero'],
    [`PrivatKey = ${sampleKey(7)}`, 'did you mean PrivateKey?'],
    [`${sampleKey(7)}`, 'unknown key (not shown'],
    [`Private Key: ${sampleKey(7).slice(0, 43)}`, 'neither a section nor a setting'],
    [`[${sampleKey(7)}]`, 'unknown section (not shown'],
  ])('never show a secret: %s', (line, expected) => {
    const fault = faultOf(`[Interface]\n${line}`)
    expect(fault).toContain(expected)
    expect(fault).not.toContain('SECRET')
    expect(fault).not.toContain(sampleKey(7).slice(0, 20))
  })
})

describe('warnings', () => {
  it('tell who gets an allowed IP that two peers list, and the last one gets it', () => {
    const text = `${inPeer('AllowedIPs = 10.0.0.0/8, ::/0')}\n[Peer]\nPublicKey = ${sampleKey(5)}\nAllowedIPs = 10.1.0.0/8`
    const { config, warnings } = parseConfigWithWarnings(text, 'wg0.conf')
    expect(config.peers.map((peer) => peer.allowedIps.map(formatPrefix))).toEqual([['::/0'], ['10.0.0.0/8']])
    expect(warnings).toEqual([
      {
        file: 'wg0.conf',
        line: 6,
        message: '10.1.0.0/8 has host bits',
        hint: 'it is taken as 10.0.0.0/8',
      },
      {
        file: 'wg0.conf',
        line: 6,
        message: '10.0.0.0/8 is in the peer of line 1 too',
        hint: 'the last peer gets it',
      },
    ])
  })

  it('are none for a prefix that one peer lists twice', () => {
    const { config, warnings } = parseConfigWithWarnings(inPeer('AllowedIPs = ::/0, ::/0'), 'a')
    expect(config.peers[0]?.allowedIps).toHaveLength(1)
    expect(warnings).toEqual([])
  })
})

describe('a private key file', () => {
  it('holds one key and blanks around it', () => {
    expect(formatKeyBase64(parsePrivateKey(`${sampleKey(9)}\n`, '/k'))).toBe(sampleKey(9))
  })

  it('is refused without being shown', () => {
    expect(() => parsePrivateKey('SECRET', '/k')).toThrow(/^\/k: the private key has 6 characters/)
    expect(() => parsePrivateKey(sampleKey(0), '/k')).toThrow(/all zero/)
  })
})
