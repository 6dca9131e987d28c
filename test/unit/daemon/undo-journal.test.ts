import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../../src/base/errors.js'
import type { LastingChange } from '../../../src/daemon/system-change.js'
import { isOwnerAlive, tryReadJournal, UndoJournal } from '../../../src/daemon/undo-journal.js'
import { type RunPaths, runPaths } from '../../../src/platform/run-directory.js'

const OWNER = { interface: 'wg7', mode: 'tunnel', configFile: '/etc/overlay/wg7.conf' } as const
const RULE: LastingChange = { kind: 'rule', family: 4, priority: 9, table: 51_820, unlessMark: 51_820 }
const SYSCTL: LastingChange = { kind: 'sysctl', name: 'net.ipv4.a', value: '1', previous: '0' }

let directory = ''
let paths: RunPaths

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlay-journal-'))
  paths = runPaths('wg7', directory)
})

afterEach(() => {
  rmSync(directory, { recursive: true })
})

function create(): UndoJournal {
  const journal = UndoJournal.tryCreate(paths, OWNER)
  if (journal === undefined) throw new Error('there is a journal already')
  return journal
}

/** As if the owner had been killed: its record names a process that is not there. */
function orphan(journal: UndoJournal): void {
  writeFileSync(paths.journal, JSON.stringify({ ...journal.record, processStart: '1' }))
}

describe('the undo journal', () => {
  it('is readable by its owner only and holds each change as soon as it is added', async () => {
    const journal = create()
    journal.add(RULE)
    expect(statSync(paths.journal).mode & 0o777).toBe(0o600)
    expect(await tryReadJournal(paths.journal)).toMatchObject({ ...OWNER, pid: process.pid, changes: [RULE] })
  })

  it('forgets what was undone, and only that', async () => {
    const journal = create()
    journal.add(RULE)
    journal.add(SYSCTL)
    journal.remove(SYSCTL)
    expect((await tryReadJournal(paths.journal))?.changes).toEqual([RULE])
  })

  it('is a lock: a second one for the same interface cannot be made', async () => {
    const journal = create()
    expect(UndoJournal.tryCreate(paths, OWNER)).toBeUndefined()
    journal.delete()
    expect(create().record.changes).toEqual([])
  })

  it('stays where it is if it cannot be taken over', async () => {
    orphan(create())
    mkdirSync(`${paths.journal}.${process.pid}`) // in the way of what is to be written
    await expect(UndoJournal.tryTakeOver(paths)).rejects.toThrow()
    expect(await tryReadJournal(paths.journal)).toMatchObject(OWNER)
  })

  it('leaves no other file behind', async () => {
    const journal = create()
    journal.setPostDown(['true'])
    expect(readdirSync(directory)).toEqual(['wg7.json'])
    journal.delete()
    expect(readdirSync(directory)).toEqual([])
  })

  it('that cannot be written says so and leaves no draft behind', () => {
    const journal = create()
    rmSync(paths.journal)
    mkdirSync(join(paths.journal, 'in-the-way'), { recursive: true })
    expect(() => journal.add(RULE)).toThrow(`cannot write ${paths.journal}`)
    expect(readdirSync(directory)).toEqual(['wg7.json'])
  })

  it('of a dead owner can be taken over with all that is to be undone', async () => {
    const journal = create()
    journal.add(RULE)
    orphan(journal)
    const adopted = await UndoJournal.tryTakeOver(paths)
    expect(adopted?.record).toMatchObject({ pid: process.pid, changes: [RULE] })
    expect(await tryReadJournal(paths.journal)).toEqual(adopted?.record)
    expect(readdirSync(directory)).toEqual(['wg7.json'])
  })

  it('of a living owner cannot be taken over and stays as it is', async () => {
    const journal = create()
    expect(await UndoJournal.tryTakeOver(paths)).toBeUndefined()
    expect(await tryReadJournal(paths.journal)).toEqual(journal.record)
  })

  it('tells a reused process number from the process that owned it', async () => {
    const { record } = create()
    expect(isOwnerAlive(record)).toBe(true)
    expect(isOwnerAlive({ ...record, processStart: '1' })).toBe(false)
  })

  it('is refused, not guessed at, when it cannot be understood', async () => {
    for (const text of ['', '{', '{"version":2}', '[]']) {
      writeFileSync(paths.journal, text)
      await expect(tryReadJournal(paths.journal)).rejects.toBeInstanceOf(AppError)
    }
  })
})
