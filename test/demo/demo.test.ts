/** What the README shows first: two hosts and a tunnel, then a hub and two nodes behind NATs. */

import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { execute } from '../support/processes.js'
import { requirement } from '../support/requirement.js'

const DEMO = fileURLToPath(new URL('../../bin/demo', import.meta.url))
/** Half a minute on a quiet machine. */
const LIMIT_MS = 150_000

requirement('the demo', ['ip', 'ping', 'tcpdump', 'iperf3', 'curl', 'nft', 'unshare'], () => {
  test('shows all that it announces', async () => {
    const { code, stdout, stderr } = await execute([], [DEMO], { timeoutMs: LIMIT_MS })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('That was a WireGuard tunnel')
    expect(stdout).toContain('That was a network: nobody wrote a key or an endpoint by hand.')
  })
})
