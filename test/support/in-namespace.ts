/**
 * Runs a test file in a network namespace of its own, so that it may add addresses to loopback: outside of
 * one, the file has a single test, which runs the same file again inside.
 */

import { spawnSync } from 'node:child_process'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const MARK = 'OVERLAY_TEST_NAMESPACE'
const TIMEOUT_MS = 240_000

/** `url`: import.meta.url of the file. `define`: its tests, called inside. */
export function inNamespace(url: string, define: () => void): void {
  if (process.env[MARK] === '1') {
    define()
    return
  }
  const unshare = process.getuid?.() === 0 ? ['-n'] : ['-Urn']
  const isPossible = spawnSync('unshare', [...unshare, 'true']).status === 0
  if (!isPossible && process.env.CI === undefined) {
    test.skip('[skipped: no network namespace may be made here]', () => undefined)
    return
  }
  test(
    'passes in a network namespace',
    () => {
      const file = relative(process.cwd(), fileURLToPath(url))
      const vitest = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url))
      const args = [vitest, 'run', '--project', 'unit', '--reporter', 'dot', file]
      const { status, stdout, stderr } = spawnSync('unshare', [...unshare, process.execPath, ...args], {
        encoding: 'utf8',
        timeout: TIMEOUT_MS,
        env: { ...process.env, [MARK]: '1', OVERLAY_TEST_RESULTS: undefined, NO_COLOR: '1' },
      })
      expect(status === 0 ? '' : `${stdout}\n${stderr}`).toBe('')
    },
    TIMEOUT_MS,
  )
}
