import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { tryFindEarlierValue } from '../../../src/daemon/host-changes.js'
import { UndoJournal } from '../../../src/daemon/undo-journal.js'
import { runPaths } from '../../../src/platform/run-directory.js'

const SYSCTL = 'net.ipv4.conf.all.src_valid_mark'
let runDirectory = ''

beforeEach(() => {
  runDirectory = mkdtempSync(join(tmpdir(), 'overlay-run-'))
})

afterEach(() => {
  rmSync(runDirectory, { recursive: true })
})

function bringUp(name: string): UndoJournal | undefined {
  const owner = { interface: name, mode: 'tunnel', configFile: '' } as const
  return UndoJournal.tryCreate(runPaths(name, runDirectory), owner)
}

describe('a kernel setting that several interfaces change', () => {
  it('was what the first of them found, for all that come later and for its own reload', async () => {
    bringUp('wg1')?.add({ kind: 'sysctl', name: SYSCTL, value: '1', previous: '0' })
    expect(await tryFindEarlierValue({ sysctl: SYSCTL, runDirectory })).toBe('0')
  })

  it('is restored by the last of them only', async () => {
    const first = bringUp('wg1')
    const second = bringUp('wg2')
    for (const journal of [first, second]) {
      journal?.add({ kind: 'sysctl', name: SYSCTL, value: '1', previous: '0' })
    }
    expect(await tryFindEarlierValue({ sysctl: SYSCTL, exceptInterface: 'wg1', runDirectory })).toBe('0')
    first?.delete()
    expect(
      await tryFindEarlierValue({ sysctl: SYSCTL, exceptInterface: 'wg2', runDirectory }),
    ).toBeUndefined()
  })
})
