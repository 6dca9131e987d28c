/**
 * A hub under many nodes: how fast they join, how long a change takes to reach those it concerns, what it
 * costs in memory and time. The hub is the program itself; its nodes are sessions of this process.
 *
 *   npm run bench:hub [NODES]
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLogger } from '../src/base/log.js'
import { type Identity, identityFromSeed } from '../src/control/identity.js'
import { type JoinToken, parseJoinToken } from '../src/control/join-token.js'
import { signTunnelKey } from '../src/control/tunnel-key.js'
import type { HubStatus } from '../src/daemon/hub-schema.js'
import { HubLink } from '../src/daemon/network/hub-link.js'
import { percentile } from '../src/lab/matrix.js'
import { nodeCrypto } from '../src/wireguard/crypto-node.js'

const OVERLAY = join(import.meta.dirname, '../../../bin/overlay')
const PORT = 28_443
const GROUP = 50
const CHANGES = 200
const JOINING_AT_ONCE = 64
const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))

class SimulatedNode {
  readonly #link: HubLink
  readonly #identity: Identity
  /** Called with the relays of whoever changed. */
  onChange: (relays: readonly string[]) => void = () => undefined
  readonly joined: Promise<void>

  constructor(token: JoinToken, name: string) {
    this.#identity = identityFromSeed(random(32))
    const key = nodeCrypto.dhPrivateKey(random(32)).publicKey
    const nowS = Math.floor(Date.now() / 1000)
    const tunnelKey = signTunnelKey(this.#identity, key, {
      number: nowS,
      notBefore: nowS - 60,
      notAfter: nowS + 86_400,
    })
    let resolve: () => void = () => undefined
    this.joined = new Promise((done) => {
      resolve = done
    })
    this.#link = new HubLink({
      hub: token.hub,
      hubKey: token.hubKey,
      identity: this.#identity,
      proxy: undefined,
      crypto: nodeCrypto,
      random,
      log: createLogger({ level: 'error', write: () => undefined, wallNowMs: Date.now }),
      hello: () => ({ tunnelKey, localPrefixes: [], secret: token.secret, name }),
      onState: () => undefined,
      onMessage: (message) => {
        if (message.type === 'refused') throw new Error(message.message)
        if (message.type !== 'nodes') return
        if (message.isComplete === true) resolve()
        else for (const node of message.changed) this.onChange(Object.keys(node.relayRtts))
      },
    })
  }

  start(): void {
    this.#link.start()
  }

  change(relay: string): void {
    this.#link.send({ type: 'update', relayRtts: { [relay]: 1 } })
  }

  stop(): void {
    this.#link.stop()
  }
}

async function run(count: number): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'overlay-bench-'))
  const state = ['--state', directory]
  await overlay(
    'hub',
    'init',
    'bench',
    '--address',
    '127.0.0.1',
    '--port',
    String(PORT),
    '--stun-port',
    '28478',
    ...state,
  )
  const hub = spawn(process.execPath, [OVERLAY, 'hub', 'start', ...state], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  try {
    await new Promise<void>((resolve) => hub.stdout.once('data', () => resolve()))
    await measure(count, state)
  } finally {
    await end(hub)
    rmSync(directory, { recursive: true, force: true })
  }
}

async function measure(count: number, state: readonly string[]): Promise<void> {
  const groups: SimulatedNode[][] = []
  for (let first = 0; first < count; first += GROUP) {
    const number = groups.length
    const words = ['hub', 'token', 'create', '--uses', String(GROUP), '--tags', `g${number}`, ...state]
    const token = parseJoinToken(nodeCrypto, await overlay(...words))
    groups.push(
      Array.from(
        { length: Math.min(GROUP, count - first) },
        (_, i) => new SimulatedNode(token, `n${first + i}`),
      ),
    )
  }
  const nodes = groups.flat()
  const startMs = performance.now()
  await joinAll(nodes)
  const seconds = (performance.now() - startMs) / 1000
  print('joined', `${nodes.length} nodes in ${seconds.toFixed(1)} s, ${Math.round(nodes.length / seconds)}/s`)
  const latencies = await measureChanges(groups)
  const ms = (percent: number): string => `${percentile(latencies, percent)?.toFixed(1)} ms`
  print('change', `to ${GROUP - 1} nodes each: p50 ${ms(50)}, p99 ${ms(99)} (${latencies.length} arrivals)`)
  const status = JSON.parse(await overlay('hub', 'status', '--json', ...state)) as HubStatus
  print('hub', `${status.online} online, ${Math.round(status.memoryBytes / 1e6)} MB`)
  for (const node of nodes) node.stop()
}

async function joinAll(nodes: readonly SimulatedNode[]): Promise<void> {
  const waiting = [...nodes]
  const workers = Array.from({ length: JOINING_AT_ONCE }, async () => {
    for (let node = waiting.shift(); node !== undefined; node = waiting.shift()) {
      node.start()
      await node.joined
    }
  })
  await Promise.all(workers)
}

/** Sorted ms from a change to each of the others that hears of it. */
async function measureChanges(groups: readonly (readonly SimulatedNode[])[]): Promise<number[]> {
  const latencies: number[] = []
  for (let i = 0; i < CHANGES; i++) {
    const group = groups[i % groups.length] ?? []
    const [speaker, ...others] = group
    const relay = random(32)
    const text = Buffer.from(relay).toString('base64')
    const startMs = performance.now()
    const heard = others.map(
      async (node) =>
        await new Promise<void>((resolve) => {
          node.onChange = (relays) => {
            if (!relays.includes(text)) return
            latencies.push(performance.now() - startMs)
            resolve()
          }
        }),
    )
    speaker?.change(text)
    await Promise.all(heard)
  }
  return latencies.sort((a, b) => a - b)
}

async function overlay(...words: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [OVERLAY, ...words], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`overlay ${words.join(' ')} ended with ${code}`)
  return text
}

async function end(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
}

function print(label: string, text: string): void {
  process.stdout.write(`${label.padEnd(8)} ${text}\n`)
}

await run(Number(process.argv[2] ?? '2000'))
process.exit(0)
