/** Data planes with less than all the machine can do, with each other: what they carry stays the same. */

import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  type Implementation,
  overlay,
  overlayCommand,
  overlayWith,
  type Pair,
  pairName,
  TUNNEL_PROGRAMS,
} from '../support/implementations.js'
import { until, withLab } from '../support/lab.js'
import { ping } from '../support/ping.js'
import { requirement } from '../support/requirement.js'
import { openTunnel, type Tunnel } from '../support/tunnel.js'

const FILE_BYTES = 48 << 20
const PORT = 8080
const SERVE =
  'const fs=require("fs");require("http").createServer((q,s)=>' +
  `fs.createReadStream(process.argv[1]).pipe(s)).listen(${PORT},"::")`

const native = (name: string, env: Readonly<Record<string, string>>): Implementation =>
  overlayWith(name, { OVERLAY_DATAPLANE: 'native', ...env })
const plain = native('without offloads', { OVERLAY_OFFLOADS: 'off' })
const threaded = native('3 threads each way', { OVERLAY_THREADS: '3' })
const openssl = native('openssl', { OVERLAY_AEAD: 'openssl' })
const scalar = native('scalar', { OVERLAY_AEAD: 'scalar' })
const portable = overlayWith('portable', { OVERLAY_DATAPLANE: 'portable' })

const DESCRIPTIONS: readonly (readonly [Implementation, RegExp])[] = [
  [plain, /^native, \w+, \d threads? each way, no offloads$/],
  [threaded, /^native, \w+, 3 threads each way, TSO /],
  [openssl, /^native, openssl, /],
  [scalar, /^native, scalar, /],
  [portable, /^portable, /],
]

const CASES: readonly Pair[] = [
  [plain, plain],
  [plain, overlay],
  [threaded, threaded],
  [openssl, scalar],
  [portable, native('native', {})],
]

async function describeSide(side: Tunnel['left']): Promise<string> {
  const report = await side.host.run([overlayCommand, 'status', side.interfaceName, '--json'])
  const { interfaces } = JSON.parse(report) as { interfaces: { dataPlane: string }[] }
  return interfaces[0]?.dataPlane ?? ''
}

/** A file over HTTP, from right to left. */
async function fetchFile({ left, right }: Tunnel, directory: string, address: string): Promise<void> {
  const [file, copy] = [join(directory, 'file'), join(directory, 'copy')]
  const bytes = randomBytes(FILE_BYTES)
  writeFileSync(file, bytes)
  const server = right.host.start(['node', '-e', SERVE, file])
  await until('a listener', async () => (await right.host.run('ss -Hltn')).includes(`:${PORT} `))
  await left.host.run(`curl -sS -o ${copy} http://${address}:${PORT}/`)
  expect(hash(readFileSync(copy))).toBe(hash(bytes))
  await server.stop()
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

requirement('data planes of other kinds', [...TUNNEL_PROGRAMS, 'curl', 'ss'], () => {
  test.each(CASES.map((pair) => [pairName(pair), pair] as const))(
    '%s: everything arrives as it was sent',
    async (_name, pair) => {
      await withLab(async (lab) => {
        const tunnel = await openTunnel(lab, pair)
        for (const [implementation, description] of DESCRIPTIONS) {
          if (pair[0] === implementation) expect(await describeSide(tunnel.left)).toMatch(description)
          if (pair[1] === implementation) expect(await describeSide(tunnel.right)).toMatch(description)
        }
        for (const size of [0, 17, 1392, 1393, 9000]) {
          const { inner4 } = tunnel.right.addresses
          expect(await ping(tunnel.left.host, inner4, 2, { extra: `-s ${size}` }), `${size} bytes`).toBe(2)
        }
        await fetchFile(tunnel, lab.directory, tunnel.right.addresses.inner4)
        await fetchFile(tunnel, lab.directory, `[${tunnel.right.addresses.inner6}]`)
      })
    },
  )
})
