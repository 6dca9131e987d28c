/** What has just come up is reached at once. Times are printed; that WireGuard's own patience is not needed is judged. */

import { expect, test } from 'vitest'
import { measureColdStarts } from '../../src/lab/starts.js'
import { requirement } from '../support/requirement.js'

const OPTIONS = { rttMs: 40, lossPercent: 0 }
/** WireGuard waits for so long by itself. */
const PATIENCE_MS = 5000

requirement('starts', ['ip', 'nft', 'conntrack', 'ping'], () => {
  test.each([undefined, 'tls443Only', 'handshakesDropped', 'wireguardDropped'] as const)(
    'a node that comes up with traffic waiting, %s',
    async (fault) => {
      const result = await measureColdStarts({ ...OPTIONS, tries: 2, ...(fault && { fault }) })
      process.stdout.write(`${result.name}: ${result.ms} ms, ${result.how}\n`)
      expect(result.ms ?? Number.POSITIVE_INFINITY).toBeLessThan(PATIENCE_MS)
    },
  )
})
