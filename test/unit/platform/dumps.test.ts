import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const ADDON = fileURLToPath(new URL('../../../build/Release/overlay.node', import.meta.url))
/** A process that is not dumpable is root's in /proc, whoever runs it; uid 65534 shows that without a dump. */
const SCRIPT = `
  const addon = require(process.argv[1])
  const owner = () => require('node:fs').statSync('/proc/self/environ').uid
  process.setgid(65534); process.setuid(65534)
  const before = owner(); addon.forbidDumps(); console.log(before, owner())
`

describe.skipIf(process.getuid?.() !== 0)('a process that forbids dumps (needs root)', () => {
  it('is nobody else’s to look into', () => {
    const text = execFileSync(process.execPath, ['-e', SCRIPT, ADDON], { encoding: 'utf8' })
    expect(text.trim().split(' ')[1]).toBe('0')
  })
})
