import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deleteLink, tryFindLink } from '../../../src/platform/network.js'
import { CompiledRooms, missingForNamespace } from './namespace.js'

it('finds the loopback interface, and no interface of another name', () => {
  expect(tryFindLink('lo')).toMatchObject({ name: 'lo', index: 1 })
  expect(tryFindLink('overlay-none')).toBeUndefined()
  expect(tryFindLink('')).toBeUndefined()
})

it('names the interface that it cannot delete', () => {
  expect(() => deleteLink(999_999)).toThrow('cannot delete interface 999999: ')
})

const title =
  missingForNamespace === undefined ? 'the network' : `the network (skipped: ${missingForNamespace})`

describe.skipIf(missingForNamespace !== undefined)(title, () => {
  let rooms: CompiledRooms
  beforeAll(() => {
    rooms = new CompiledRooms()
  })
  afterAll(() => rooms.remove())

  it('takes addresses of both families and gives them back', () => {
    const seen = rooms.run(`
      const tun = openTun({ name: 'wg0' })
      const index = tun.linkIndex
      network.addAddress(index, prefix('10.1.2.3/24'))
      network.addAddress(index, prefix('fd00::1/64'))
      const twice = errnoFrom(() => network.addAddress(index, prefix('10.1.2.3/24')))
      const list = tun.addresses().map(prefixes.formatPrefix)
      network.removeAddress(index, prefix('10.1.2.3/24'))
      const after = tun.addresses().map(prefixes.formatPrefix)
      report({ twice, list, after })
      tun.close()
    `)
    expect(seen).toEqual({ twice: 'EEXIST', list: ['10.1.2.3/24', 'fd00::1/64'], after: ['fd00::1/64'] })
  })

  it('takes routes of any table, masks host bits, and replaces only if asked', () => {
    const seen = rooms.run(`
      const tun = openTun({ name: 'wg0' })
      const linkIndex = tun.linkIndex
      network.addAddress(linkIndex, prefix('10.0.0.1/24'))
      network.setLinkUp(linkIndex, true)
      const text = (route) => prefixes.formatPrefix(route.prefix) + (route.gateway ? ' via ' + ip.formatIp(route.gateway) : '')
      const first = { prefix: prefix('10.9.8.7/16'), linkIndex, table: 51820 }
      network.addRoute(first)
      const twice = errnoFrom(() => network.addRoute(first))
      network.addRoute(first, { replace: true })
      network.addRoute({ prefix: prefix('0.0.0.0/0'), linkIndex, table: 51820, gateway: address('10.0.0.2') })
      network.addRoute({ prefix: prefix('::/0'), linkIndex, table: 51820 })
      const v4 = network.listRoutes(4, 51820).map(text)
      const v6 = network.listRoutes(6, 51820).map(text)
      network.removeRoute(first)
      const after = network.listRoutes(4, 51820).map(text)
      const missing = errnoFrom(() => network.removeRoute(first))
      report({ twice, v4, v6, after, missing })
      tun.close()
    `)
    expect(seen).toEqual({
      twice: 'EEXIST',
      v4: ['0.0.0.0/0 via 10.0.0.2', '10.9.0.0/16'],
      v6: ['::/0'],
      after: ['0.0.0.0/0 via 10.0.0.2'],
      missing: 'ESRCH',
    })
  })

  it('takes the rules of a default route through the tunnel and gives them back', () => {
    const seen = rooms.run(`
      const rules = [4, 6].flatMap((family) => [
        { family, mark: 0xca6c, invert: true, table: 51820 },
        { family, table: 254, suppressPrefixLength: 0 },
      ])
      const kernelRules = [4, 6].map((family) => network.listRules(family).length)
      for (const rule of rules) network.addRule(rule)
      const twice = errnoFrom(() => network.addRule(network.listRules(4)[1]))
      const list = network.listRules(4).slice(1, 3)
      for (const rule of rules) network.removeRule(rule)
      const left = [4, 6].map((family, i) => network.listRules(family).length - kernelRules[i])
      report({ twice, list, left })
    `)
    expect(seen).toEqual({
      twice: 'EEXIST',
      list: [
        { family: 4, priority: 32764, invert: false, table: 254, suppressPrefixLength: 0 },
        { family: 4, priority: 32765, mark: 0xca6c, mask: 0xffffffff, invert: true, table: 51820 },
      ],
      left: [0, 0],
    })
  })

  it('tells link, MTU and source of the way to an address, by mark', () => {
    const seen = rooms.run(`
      const tun = openTun({ name: 'wg0', mtu: 1400 })
      const linkIndex = tun.linkIndex
      network.addAddress(linkIndex, prefix('10.0.0.1/24'))
      network.setLinkUp(linkIndex, true)
      network.addRoute({ prefix: prefix('203.0.113.0/24'), linkIndex, table: 7 })
      network.addRule({ family: 4, mark: 9, table: 7 })
      const text = (answer) => answer && { mtu: answer.mtu, isTun: answer.linkIndex === linkIndex, source: ip.formatIp(answer.source) }
      report({
        marked: text(network.routeTo(address('203.0.113.1'), 9)),
        plain: network.routeTo(address('203.0.113.1')) ?? 'none',
        v6: network.routeTo(address('2001:db8::1')) ?? 'none',
      })
      tun.close()
    `)
    expect(seen).toEqual({
      marked: { mtu: 1400, isTun: true, source: '10.0.0.1' },
      plain: 'none',
      v6: 'none',
    })
  })

  it('names the thing when the kernel refuses', () => {
    const seen = rooms.run(`
      const messages = []
      for (const call of [
        () => network.setLinkUp(999, true),
        () => network.addAddress(999, prefix('10.0.0.1/24')),
        () => network.removeRoute({ prefix: prefix('10.0.0.0/8'), linkIndex: 1, table: 254 }),
        () => network.removeRule({ family: 6, mark: 5, table: 12345 }),
      ]) {
        try { call() } catch (error) { messages.push(error.message) }
      }
      report(messages)
    `)
    expect(seen).toEqual([
      'cannot set interface 999 up: ENODEV (RTM_NEWLINK)',
      'cannot add address 10.0.0.1/24 to interface 999: ENODEV (RTM_NEWADDR)',
      'cannot remove route 10.0.0.0/8 over interface 1 in table 254: ESRCH (RTM_DELROUTE)',
      'cannot remove rule of IPv6 mark 5 table 12345: ENOENT (RTM_DELRULE)',
    ])
  })

  it('tells of links and addresses that come and go, until stopped', () => {
    const seen = rooms.run(`
      const events = []
      let isDone
      const done = new Promise((resolve) => (isDone = resolve))
      const watch = watchLinks((event) => {
        events.push(event)
        if (event.kind === 'link' && event.removed) isDone()
      })
      const tun = openTun({ name: 'wg0', mtu: 1400 })
      network.addAddress(tun.linkIndex, prefix('10.0.0.1/24'))
      network.setLinkUp(tun.linkIndex, true)
      tun.close()
      await done
      watch.stop()
      watch.stop()
      openTun({ name: 'wg1' }).close()
      await new Promise(setImmediate)
      const ours = events.filter((event) => event.name === 'wg0' || event.linkIndex === tun.linkIndex)
      const address4 = ours.find((event) => event.kind === 'address' && event.prefix.address.family === 4)
      report({
        wasUp: ours.some((event) => event.isUp && event.mtu === 1400),
        address: prefixes.formatPrefix(address4.prefix),
        last: ours.at(-1).removed,
        others: events.filter((event) => event.name === 'wg1').length,
      })
    `)
    expect(seen).toEqual({ wasUp: true, address: '10.0.0.1/24', last: true, others: 0 })
  })
})
