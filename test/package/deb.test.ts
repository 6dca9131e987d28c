/** The Debian package, on a copy of this machine: it comes, is renewed, goes, and leaves what is not its own. */

import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { until } from '../support/lab.js'
import { mustRun } from '../support/packed.js'
import { BackgroundProcess } from '../support/processes.js'
import { requirement } from '../support/requirement.js'

const SCRIPT = fileURLToPath(new URL('../support/deb-machine.sh', import.meta.url))
const PROGRAMS = ['dpkg', 'dpkg-deb', 'systemctl', 'unshare', 'chroot', 'aarch64-linux-gnu-g++', 'npm']
const NAMESPACES = ['--kill-child', '--fork', '--pid', '--mount', '--net', '--propagation', 'private']
/** Compiles for two machines, if that is out of date. */
const MAKE_TIMEOUT_MS = 280_000

requirement('the Debian package', PROGRAMS, () => {
  const results = mkdtempSync(join(tmpdir(), 'overlay-deb-test-'))
  let report = ''

  beforeAll(async () => {
    await mustRun(['node', 'bin/deb.mjs', '--to', results], { timeoutMs: MAKE_TIMEOUT_MS })
    const old = readdirSync(results).find((name) => name.endsWith('_amd64.deb')) ?? ''
    cpSync(join(results, old), join(results, 'old.deb'))
    await writeNewer(results)
    const outer = ['unshare', ...NAMESPACES, '--mount-proc']
    const machine = new BackgroundProcess(outer, ['bash', SCRIPT, results])
    const read = (): string =>
      existsSync(join(results, 'report')) ? readFileSync(join(results, 'report'), 'utf8') : ''
    report = await until('a report', () => (read().endsWith('done\n') ? read() : undefined), 110_000)
    await machine.stop('SIGKILL')
  }, 400_000)
  afterAll(() => rmSync(results, { recursive: true, force: true }))

  it('says which Node it needs, on both machines', async () => {
    for (const machine of ['amd64', 'arm64']) {
      const file = readdirSync(results).find((name) => name.endsWith(`_${machine}.deb`)) ?? ''
      const { stdout } = await mustRun([
        'dpkg-deb',
        '--field',
        join(results, file),
        'Depends',
        'Architecture',
      ])
      expect(stdout).toBe(`Depends: nodejs (>= 20.19), libc6 (>= 2.28)\nArchitecture: ${machine}\n`)
    }
  })

  it('brings a program that runs, with its pages and completions', () => {
    expect(report).toMatch(/^version \d+\.\d+\.\d+$/m)
    expect(report).toContain('directory /etc/overlay 700\n')
    expect(report).toContain('file man/man1/overlay-up.1.gz\nfile bash-completion/completions/overlay\n')
    expect(report).toContain('installed has wg0\ninstalled has wg1\n')
  })

  it('starts a service anew when it is upgraded, and ends nothing else', () => {
    expect(report).toContain('the service was restarted\nupgraded has wg0\nupgraded has wg1\n')
  })

  it('ends what runs when it is removed, and keeps configurations', () => {
    expect(report).not.toMatch(/^removed has/m)
    expect(report).not.toMatch(/^\/usr\//m)
    expect(report).toContain('removed keeps wg0.conf\n')
  })

  it('removes all that it made when it is purged, and names what is left', () => {
    expect(report).not.toMatch(/^(left|known): /m)
    expect(report).toContain('purged keeps wg0.conf\n')
    expect(report).toContain('dpkg: overlay: /etc/overlay is left as it is; remove it if nothing needs it\n')
  })
})

/** new.deb from old.deb, with a higher version. */
async function writeNewer(directory: string): Promise<void> {
  const top = join(directory, 'unpacked')
  await mustRun(['dpkg-deb', '--raw-extract', join(directory, 'old.deb'), top])
  const control = join(top, 'DEBIAN/control')
  writeFileSync(control, readFileSync(control, 'utf8').replace(/^Version: .*$/m, '$&+1'))
  await mustRun(['dpkg-deb', '--root-owner-group', '--build', top, join(directory, 'new.deb')])
}
