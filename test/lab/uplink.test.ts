/** A way out that carries little: what is sent over a direct path waits for its turn, and arrives. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Internet } from '../../src/lab/internet.js'
import { LabNetwork, type LabNode } from '../../src/lab/network.js'
import { requirement } from '../support/requirement.js'

const UPLINK_MBIT = 10
const SENT_BYTES = 4_000_000
/** Answers with how much came. */
const COUNTER = `require('node:http').createServer((request, response) => {
  let bytes = 0
  request.on('data', (chunk) => (bytes += chunk.length)).on('end', () => response.end(String(bytes)))
}).listen(8080, () => console.log('ready'))`

interface Queue {
  readonly kind: string
  readonly options: { readonly rate?: number }
  readonly bytes: number
  /** How often something had to wait. */
  readonly overlimits: number
}

requirement('an uplink of 10 Mbit/s', ['ip', 'nft', 'conntrack', 'tc', 'curl'], () => {
  let internet: Internet
  let a: LabNode
  let b: LabNode

  beforeAll(async () => {
    internet = await Internet.open({ rttMs: 20, lossPercent: 0 })
    const network = await LabNetwork.start(internet)
    a = await network.addNode(internet.addSite('portRestricted', { uplinkMbit: UPLINK_MBIT }), 'alice')
    b = await network.addNode(internet.addSite('portRestricted'), 'bob')
    await Promise.all([a.up(), b.up()])
    await a.untilKnown('bob')
    await a.ping('bob', '--until-direct')
    await new Promise<void>((resolve) => {
      b.site.host.start([process.execPath, '-e', COUNTER], (line) => line === 'ready' && resolve())
    })
  })
  afterAll(() => internet?.close())

  function queue(): Queue {
    const text = a.site.router.runSync('tc', '-s', '-j', 'qdisc', 'show', 'dev', 'wan')
    const found = (JSON.parse(text) as Queue[]).find(({ kind }) => kind === 'tbf')
    if (found === undefined) throw new Error(text)
    return found
  }

  test('is what a transfer over the direct path waits for', async () => {
    expect((await a.why('bob')).kind).toBe('punched')
    const file = join(internet.directory, 'sent')
    writeFileSync(file, 'x'.repeat(SENT_BYTES))
    const before = queue()
    expect(before.options.rate).toBe((UPLINK_MBIT * 1e6) / 8)
    const url = `http://${await b.address()}:8080/`
    const { stdout, stderr } = await a.site.host.run(['curl', '-sS', '--data-binary', `@${file}`, url])
    expect([stdout, stderr]).toEqual([String(SENT_BYTES), ''])
    const after = queue()
    expect(after.bytes - before.bytes).toBeGreaterThan(SENT_BYTES)
    expect(after.overlimits - before.overlimits).toBeGreaterThan(100)
    expect((await a.why('bob')).kind).toBe('punched')
  })
})
