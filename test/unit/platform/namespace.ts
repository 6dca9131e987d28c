/**
 * Runs code against the real kernel in a network namespace of its own, so that tests may create
 * interfaces and routes and the machine's network never notices.
 *
 * The code runs in a plain node process, which cannot read TypeScript: the rooms it may import are
 * transpiled once into a temporary directory, beside a link to the addon.
 */

import { spawnSync } from 'node:child_process'
import {
  accessSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const ROOMS = ['base', 'net', 'dataplane', 'platform']
const TIMEOUT_MS = 30_000

const isRoot = process.getuid?.() === 0
const UNSHARE = isRoot ? ['unshare', '-n'] : ['unshare', '-Urn']

/** Why namespace tests cannot run here; undefined if they can. In CI as root they always must. */
export const missingForNamespace: string | undefined =
  isRoot && process.env.CI !== undefined ? undefined : findMissing()

function findMissing(): string | undefined {
  const [program = '', ...args] = UNSHARE
  if (spawnSync(program, [...args, 'true']).status !== 0) return 'no network namespace may be made here'
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK)
  } catch {
    return '/dev/net/tun cannot be opened'
  }
  return undefined
}

/** The transpiled rooms: import `${directory}/platform/….js`. Call remove() when done. */
export class CompiledRooms {
  readonly directory: string
  readonly #top: string

  constructor() {
    this.#top = mkdtempSync(join(tmpdir(), 'overlay-platform-'))
    this.directory = join(this.#top, 'src')
    // The loader looks two levels above its own file.
    symlinkSync(join(ROOT, 'build'), join(this.#top, 'build'))
    writeFileSync(join(this.#top, 'package.json'), '{"type":"module"}')
    for (const room of ROOMS) this.#transpile(room)
  }

  #transpile(room: string): void {
    mkdirSync(join(this.directory, room), { recursive: true })
    const from = join(ROOT, 'src', room)
    for (const name of readdirSync(from).filter((file) => file.endsWith('.ts'))) {
      const { outputText } = ts.transpileModule(readFileSync(join(from, name), 'utf8'), {
        compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
      })
      writeFileSync(join(this.directory, room, name.replace(/\.ts$/, '.js')), outputText)
    }
  }

  /**
   * Runs a module and gives what it passes to `report(value)`, as JSON carries it. Fails if it does
   * not end by itself with code 0. `lo` is up; each call has a fresh namespace.
   */
  run(code: string): unknown {
    const script = join(this.#top, 'script.mjs')
    writeFileSync(script, `${PRELUDE}\n${code}`)
    const [program = '', ...args] = UNSHARE
    const result = spawnSync(program, [...args, process.execPath, script], {
      encoding: 'utf8',
      timeout: TIMEOUT_MS,
    })
    if (result.status !== 0) {
      const end = result.signal ?? `code ${result.status}`
      throw new Error(`the script ended with ${end}:\n${result.stdout}${result.stderr}`)
    }
    return JSON.parse(result.stdout)
  }

  remove(): void {
    rmSync(this.#top, { recursive: true, force: true })
  }
}

const PRELUDE = `
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import * as ip from './src/net/ip.js'
import * as prefixes from './src/net/prefix.js'
import { errnoOf } from './src/platform/native-error.js'
import * as network from './src/platform/network.js'
import { adoptTun, openTun } from './src/platform/tun.js'
import { openUdp } from './src/platform/udp.js'
import { watchLinks } from './src/platform/link-events.js'
import { openFdPair, receiveFd, sendFd } from './src/platform/fd-passing.js'

const addonPath = new URL('./build/Release/overlay.node', import.meta.url).pathname
const report = (value) => process.stdout.write(JSON.stringify(value))
const address = (text) => ip.tryParseIp(text)
const prefix = (text) => prefixes.tryParsePrefix(text)
const fdCount = () => readdirSync('/proc/self/fd').length
const errnoFrom = (call) => { try { call() } catch (error) { return errnoOf(error) } }
const makeSlab = (slots = 16, stride = 2048, headroom = 16) => ({
  bytes: new Uint8Array(slots * stride), stride, slots, headroom, lengths: new Uint32Array(slots),
})
const makeHeaders = (slots = 16) => ({
  remote: new Uint8Array(16 * slots), remotePort: new Uint16Array(slots), remoteScope: new Uint32Array(slots),
  local: new Uint8Array(16 * slots), tos: new Uint8Array(slots),
})
network.setLinkUp(1, true)
`
