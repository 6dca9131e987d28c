/** The program as a user gets it: packed from this checkout, and installed where no compiler is in reach. */

import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Implementation } from './implementations.js'
import type { Host } from './lab.js'
import { type BackgroundProcess, execute, type RunOptions, type RunResult } from './processes.js'

const CHECKOUT: string = fileURLToPath(new URL('../..', import.meta.url))
export const ARM64_NODE: string = join(CHECKOUT, 'test/nodes/arm64/node_modules/node-arm64/bin/node')
/** Compiles for two machines, if that is out of date. */
const PACK_TIMEOUT_MS = 280_000
/** All that a PATH has besides node and npm: what npm starts scripts with. */
const BARE_PROGRAMS = ['sh', 'env', 'uname']
/** Runs programs of arm64, with the libraries of Debian's cross compiler. */
export const EMULATOR: readonly string[] = ['qemu-aarch64-static', '-L', '/usr/aarch64-linux-gnu']

export class InstalledPackage {
  readonly #top = mkdtempSync(join(tmpdir(), 'overlay-package-'))
  readonly root: string = join(this.#top, 'prefix/lib/node_modules/overlay')
  readonly command: string = join(this.#top, 'prefix/bin/overlay')
  /** Its PATH: no compiler, no make, no Python. */
  readonly bareEnv: Readonly<Record<string, string>> = { PATH: join(this.#top, 'bin') }

  /** Packs and installs; gives what npm printed. */
  async install(): Promise<string> {
    const { stdout, stderr } = await mustRun(['npm', 'pack', '--silent', '--pack-destination', this.#top], {
      timeoutMs: PACK_TIMEOUT_MS,
    })
    const tarball = stdout.trim().split('\n').at(-1)
    if (tarball === undefined || tarball === '') throw new Error(`npm pack gave no file: ${stderr}`)
    this.#makeBarePath()
    const args = ['install', '--global', '--prefix', join(this.#top, 'prefix'), '--prefer-offline']
    const result = await mustRun([
      'env',
      `PATH=${this.bareEnv.PATH}`,
      'npm',
      ...args,
      join(this.#top, tarball),
    ])
    return result.stdout + result.stderr
  }

  #makeBarePath(): void {
    const directory = join(this.#top, 'bin')
    mkdirSync(directory)
    symlinkSync(process.execPath, join(directory, 'node'))
    for (const program of ['npm', ...BARE_PROGRAMS]) symlinkSync(whereIs(program), join(directory, program))
  }

  remove(): void {
    rmSync(this.#top, { recursive: true, force: true })
  }
}

function whereIs(program: string): string {
  const places = (process.env.PATH ?? '').split(delimiter).map((place) => join(place, program))
  const found = places.find((place) => existsSync(place))
  if (found === undefined) throw new Error(`${program} is not in PATH`)
  return realpathSync(found)
}

export async function mustRun(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const result = await execute([], command, options)
  if (result.code === 0) return result
  throw new Error(`${result.command} ended with ${result.code}\n${result.stdout}${result.stderr}`)
}

/** Runs in the foreground, where it is one process. `words`: what its command line starts with. */
export function foregroundProgram(name: string, words: readonly string[]): Implementation {
  const daemons = new Map<string, BackgroundProcess>()
  const refuse = async (): Promise<void> => {
    throw new Error(`${name} is only brought up and down`)
  }
  return {
    name,
    async up(host: Host, file: string) {
      daemons.set(file, host.start([...words, 'up', file, '--foreground']))
    },
    async down(_host: Host, file: string) {
      await daemons.get(file)?.stop('SIGTERM')
    },
    reload: refuse,
    device: refuse,
  }
}
