/** What leads into a tunnel, asked of the real kernel in a network namespace of its own. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CompiledRooms, missingForNamespace } from './namespace.js'

const title =
  missingForNamespace === undefined ? 'the underlay' : `the underlay (skipped: ${missingForNamespace})`

/** What goes over the loopback interface leads into no tunnel. */
const SETUP = `
  const { Underlay, labelTunnel } = await import('./src/platform/underlay.js')
  const up = (name, ...texts) => {
    const tun = openTun({ name })
    for (const text of texts) network.addAddress(tun.linkIndex, prefix(text))
    network.setLinkUp(tun.linkIndex, true)
    return tun
  }
  const lan = (text) => network.addRoute({ prefix: prefix(text), linkIndex: 1, table: 254 })
  const texts = (list) => list.map(prefixes.formatPrefix)
`

describe.skipIf(missingForNamespace !== undefined)(title, () => {
  let rooms: CompiledRooms
  beforeAll(() => {
    rooms = new CompiledRooms()
  })
  afterAll(() => rooms.remove())

  it('knows the ranges of networks and the routes into tunnels, and whose they are', () => {
    const seen = rooms.run(`${SETUP}
      const home = up('home', '100.70.0.1/16', 'fd00:70::1/48')
      const plain = up('plain', '10.8.0.2/24')
      const other = up('other', '10.9.0.2/24')
      labelTunnel(home.linkIndex, 'home')
      labelTunnel(plain.linkIndex, undefined)
      network.addRoute({ prefix: prefix('203.0.113.0/24'), linkIndex: plain.linkIndex, table: 254 })
      network.addRoute({ prefix: prefix('0.0.0.0/0'), linkIndex: other.linkIndex, table: 254 })
      lan('192.168.0.0/16')
      // A route of its own does not take an address out of a network's range.
      lan('100.70.9.0/24')
      const underlay = new Underlay(() => 0)
      underlay.setOverlays([prefix('100.99.0.0/16')])
      const inside = (text) => underlay.isOverlay(address(text), true)
      report({
        inside: ['100.70.3.4', '100.70.9.1', 'fd00:70::9', '100.99.1.1', '10.8.0.9', '203.0.113.7', '10.9.0.9', '10.77.0.1'].map(inside),
        outside: ['192.168.1.1', '8.8.8.8', '2001:db8::1'].map(inside),
        inNetwork: ['100.70.3.4', '10.8.0.9', '203.0.113.7'].map((text) => underlay.isInNetwork(address(text))),
        tunnel: underlay.tunnelTo(address('203.0.113.7'), true)?.name,
        addresses: texts(underlay.addresses),
      })
      underlay.stop()
      for (const tun of [home, plain, other]) tun.close()
    `)
    expect(seen).toEqual({
      inside: new Array(8).fill(true),
      // Another program's tunnel may be the way into the world.
      outside: [false, false, false],
      inNetwork: [true, false, false],
      tunnel: 'plain',
      addresses: [],
    })
  })

  it('asks the kernel with the mark that the datagrams carry', () => {
    const seen = rooms.run(`${SETUP}
      const home = up('home', '10.0.0.2/24')
      labelTunnel(home.linkIndex, undefined)
      network.addRoute({ prefix: prefix('0.0.0.0/0'), linkIndex: home.linkIndex, table: 51820 })
      network.addRule({ family: 4, mark: 7, invert: true, table: 51820 })
      const underlay = new Underlay(() => 7)
      report([true, false].map((isMarked) => underlay.isOverlay(address('8.8.8.8'), isMarked)))
      underlay.stop()
      home.close()
    `)
    expect(seen).toEqual([false, true])
  })

  it('hears of routes that change, and answers by the new ones', () => {
    const seen = rooms.run(`${SETUP}
      const home = up('home', '100.70.0.1/16')
      labelTunnel(home.linkIndex, 'home')
      const underlay = new Underlay(() => 0)
      const isInside = () => underlay.isOverlay(address('203.0.113.7'), true)
      const before = isInside()
      network.addRoute({ prefix: prefix('203.0.113.7/32'), linkIndex: home.linkIndex, table: 254 })
      const remembered = isInside()
      while (!isInside()) await new Promise((resolve) => underlay.watch(resolve))
      report([before, remembered])
      underlay.stop()
      home.close()
    `)
    // It ends, so the news came.
    expect(seen).toEqual([false, false])
  })

  it('sends from no address of a tunnel over a link that has none of its own', () => {
    const seen = rooms.run(`${SETUP}
      const { execFileSync } = await import('node:child_process')
      const cable = (name) => {
        execFileSync('ip', ['link', 'add', name, 'type', 'veth', 'peer', 'name', name + 'x'])
        const { index } = network.tryFindLink(name)
        for (const end of [index, network.tryFindLink(name + 'x').index]) network.setLinkUp(end, true)
        return index
      }
      const home = up('home', '10.0.0.2/24', '2001:db8:2::100/64')
      labelTunnel(home.linkIndex, undefined)
      const [bare, other] = [cable('bare'), cable('other')]
      network.addAddress(other, prefix('192.0.2.7/24'))
      for (const text of ['0.0.0.0/0', '::/0']) network.addRoute({ prefix: prefix(text), linkIndex: bare, table: 254 })
      const underlay = new Underlay(() => 0)
      // Its other end is plugged in a moment later.
      while (!texts(underlay.addresses).includes('192.0.2.7/24')) await new Promise((resolve) => underlay.watch(resolve))
      const pathTo = (text, local) => ({ socket: 1, remote: { address: address(text), port: 1, scopeId: 0 }, local: local && address(local) })
      const from = (text, local) => {
        const path = underlay.outerPath(pathTo(text, local))
        return path === undefined ? 'none' : path.local === undefined ? 'kernel' : ip.formatIp(path.local)
      }
      const kernel = ['8.8.8.8', '2001:db8:2:1::1'].map((text) => ip.formatIp(network.routeTo(address(text)).source))
      const chosen = [from('8.8.8.8'), from('8.8.8.8', '10.0.0.2'), from('8.8.8.8', '192.0.2.9'), from('192.0.2.1'), from('192.0.2.1', '10.0.0.2')]
      const before = from('2001:db8:2:1::1')
      network.addAddress(bare, prefix('fd00:1::2/64'))
      await new Promise((resolve) => underlay.watch(resolve))
      report({ kernel, chosen, v6: [before, from('2001:db8:2:1::1')] })
      underlay.stop()
      home.close()
    `)
    expect(seen).toEqual({
      kernel: ['10.0.0.2', '2001:db8:2::100'],
      chosen: ['192.0.2.7', '192.0.2.7', '192.0.2.9', 'kernel', 'kernel'],
      // There is none at first; that of the link is tentative, and then the kernel's own choice.
      v6: ['none', expect.stringMatching(/^(kernel|fd00:1::2)$/)],
    })
  })
})
