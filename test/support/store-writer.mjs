/**
 * Changes a hub's store in large transactions until it is ended, for tests of what is left then:
 * `node store-writer.mjs STORE.js FILE`. Prints the number of each transaction that is done.
 */

import { writeSync } from 'node:fs'

const NODES = 50
const [, , module, path] = process.argv
const { openSqliteStore } = await import(module)
const store = await openSqliteStore(path)
for (let round = 1; ; round++) {
  store.transaction(() => {
    for (let number = 0; number < NODES; number++) {
      store.putNode({ identity: `node-${number}`, name: `round-${round}`, filler: 'x'.repeat(500) })
    }
    store.appendAudit({ atMs: 0, event: 'round', subject: String(round), detail: '' })
  })
  writeSync(1, `${round}\n`)
}
