/** Direct TCP between two nodes of which one may not use UDP: a real kernel's simultaneous open through real NATs. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Internet } from '../../src/lab/internet.js'
import { LabNetwork, type LabNode } from '../../src/lab/network.js'
import type { RouterKind } from '../../src/lab/routers.js'
import type { Site } from '../../src/lab/site.js'
import { requirement } from '../support/requirement.js'

const TRANSFER_BYTES = 30_000_000
const SERVER = `require('node:http').createServer((_, answer) => answer.end(Buffer.alloc(${TRANSFER_BYTES}))).listen(8000, () => console.log('ready'))`
const STRANGERS = 300
/** Connects as often as asked, half of them with something to say; tells how many were ended. */
const GARBAGE = `const { connect } = require('node:net')
const [port, count] = process.argv.slice(1).map(Number)
let ended = 0
for (let i = 0; i < count; i++) {
  const socket = connect({ host: '127.0.0.1', port })
  if (i % 2 === 0) socket.write(require('node:crypto').randomBytes(500))
  socket.on('error', () => undefined)
  socket.resume()
  socket.on('close', () => (ended += 1) === count && console.log('all ended'))
}`

requirement('direct TCP', ['ip', 'nft', 'conntrack', 'curl'], () => {
  describe.each([
    ['portRestricted', 'portRestricted'],
    ['answering', 'portRestricted'],
    ['symmetricRandom', 'open'],
  ] as const satisfies [RouterKind, RouterKind][])('%s without UDP × %s', (left, right) => {
    let internet: Internet
    let site: Site
    let a: LabNode
    let b: LabNode

    beforeAll(async () => {
      internet = await Internet.open({ rttMs: 20, lossPercent: 0 })
      const network = await LabNetwork.start(internet)
      site = internet.addSite(left)
      internet.setFault(site, 'udpBlocked')
      a = await network.addNode(site, 'a')
      b = await network.addNode(internet.addSite(right), 'b')
      await Promise.all([a.up(), b.up()])
      await Promise.all([a.untilKnown('b'), b.untilKnown('a')])
    })
    afterAll(() => internet?.close())

    test('data goes over TCP between the two', async () => {
      await a.ping('b', '--until-direct', '--count', '100')
      const [here, there] = [await a.why('b'), await b.why('a')]
      expect([here.kind, there.kind]).toEqual(['tcp', 'tcp'])
      expect(here.endpoint).toMatch(/^\d+(\.\d+){3}:\d+$/)
      await new Promise<void>((resolve) => {
        b.site.host.start([process.execPath, '-e', SERVER], (line) => line === 'ready' && resolve())
      })
      const words = ['curl', '-sS', 'http://b.lab.overlay:8000/', '-o', '/dev/null', '-w', '%{size_download}']
      expect((await a.site.host.run(words)).stdout).toBe(String(TRANSFER_BYTES))
      expect((await a.why('b')).kind).toBe('tcp')
    })

    test('strangers who connect are ended, and whoever is linked does not notice', async () => {
      const before = await b.status()
      const words = [process.execPath, '-e', GARBAGE, String(before.listenPort), String(STRANGERS)]
      const stranger = b.site.host.run(words)
      const { code } = await a.ping('b', '--count', '5')
      expect([code, (await stranger).stdout]).toEqual([0, 'all ended\n'])
      const { drops } = await b.status()
      expect(drops.tcpUnproven).toBeGreaterThanOrEqual(STRANGERS)
    })

    test('and over UDP once that comes through', async () => {
      internet.setFault(site, undefined)
      const kind = async (): Promise<string> => {
        await a.ping('b', '--count', '3')
        return (await a.why('b')).kind
      }
      await expect.poll(kind, { timeout: 20_000, interval: 200 }).not.toBe('tcp')
      expect(['punched', 'direct']).toContain(await kind())
    })
  })
})
