/**
 * The units of configs/, under a systemd that is process 1 of its own namespaces: they start with the privileges
 * that they name, come back after kill -9, and end well.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../support/lab.js'
import { BackgroundProcess, execute } from '../support/processes.js'
import { requirement } from '../support/requirement.js'

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))
const SCRIPT = join(CHECKOUT, 'test/support/service-manager.sh')
const UNITS = ['overlay-hub.service', 'overlay-relay.service', 'overlay@.service']
const MAX_EXPOSURE = 3.0
const NAMESPACES = ['--kill-child', '--fork', '--pid', '--mount', '--net', '--propagation', 'private']

const isWhole = (report: string): string | undefined => (report.endsWith('done\n') ? report : undefined)

requirement('units of systemd', ['systemd-analyze', 'systemctl', 'unshare'], () => {
  it.each(UNITS)('%s exposes little', async (unit) => {
    const words = ['systemd-analyze', 'security', '--offline=true', join(CHECKOUT, 'configs', unit)]
    const { stdout } = await execute([], words)
    const exposure = Number(/Overall exposure level[^:]*: ([\d.]+)/.exec(stdout)?.[1] ?? Number.NaN)
    expect(exposure).toBeLessThanOrEqual(MAX_EXPOSURE)
  })

  describe('under a systemd of their own', () => {
    let results: string
    let report: string
    const read = (file: string): string => readFileSync(join(results, file), 'utf8')

    beforeAll(async () => {
      results = mkdtempSync(join(tmpdir(), 'overlay-units-'))
      const outer = ['unshare', ...NAMESPACES, '--mount-proc']
      const machine = new BackgroundProcess(outer, ['bash', SCRIPT, CHECKOUT, results])
      report = await until(
        'a report',
        () => existsSync(join(results, 'report')) && isWhole(read('report')),
        110_000,
      )
      await machine.stop('SIGKILL')
    }, 120_000)
    afterAll(() => rmSync(results, { recursive: true, force: true }))

    it('let the hub be a user of its own, with one capability, and serve', () => {
      expect(report).toMatch(/^overlay-hub Uid:\s+6\d{4}\s/m)
      expect(report).toMatch(/^overlay-hub CapEff:\s+0000000000000400$/m)
      expect(report).toMatch(/^overlay-hub NoNewPrivs:\s+1$/m)
      expect(report).toMatch(/^overlay-hub Seccomp:\s+2$/m)
      expect(report).toMatch(/^store overlay-hub 600$/m)
      expect(report).toMatch(/^hub network {4}home/m)
      expect(read('token')).toMatch(/^ovl1_/m)
    })

    it('let the node have two, and its hooks what they like', () => {
      expect(report).toMatch(/^overlay@wg0 CapEff:\s+0000000000001400$/m)
      expect(report).toMatch(/^overlay@wg0 NoNewPrivs:\s+1$/m)
      expect(report).toMatch(/^overlay@wg0 Seccomp:\s+2$/m)
      expect(read('postup')).toMatch(/^CapEff: 0*1f*e?f+$/m)
    })

    it('bring the node back after kill -9, and end both well', () => {
      expect(report).toMatch(/^again wg0 {2}up/m)
      expect(read('overlay@wg0.log').match(/info ready interface=wg0/g)).toHaveLength(2)
      expect(report).toMatch(/^end overlay-hub success 0$/m)
      expect(report).toMatch(/^end overlay@wg0 success 0$/m)
      expect(read('postdown')).toBe('')
    })
  })
})
