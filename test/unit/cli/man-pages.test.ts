import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { COMMANDS } from '../../../src/cli/commands.js'
import { errorPage } from '../../../src/cli/error-page.js'
import { manPages } from '../../../src/cli/man-pages.js'
import { lackOf } from '../../support/requirement.js'

const PAGES = manPages(COMMANDS, '1.2.3')

/** The page of the program first. */
function byName(a: string, b: string): number {
  if (a === 'overlay.1' || b === 'overlay.1') return a === 'overlay.1' ? -1 : 1
  return a < b ? -1 : 1
}

describe('the manual', () => {
  it('has a page for the program and one for each command or group', () => {
    expect([...PAGES.keys()]).toEqual(['overlay.1', ...COMMANDS.map(({ name }) => `overlay-${name}.1`)])
  })

  it('is named whole in package.json, which is what npm installs', () => {
    const { man } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
      man: string[]
    }
    expect(man).toEqual([...PAGES.keys()].sort(byName).map((name) => `./man/${name}`))
  })

  it('names each command of a group with its options, and hides the internal ones', () => {
    const page = PAGES.get('overlay-hub.1') ?? ''
    expect(page).toContain('.SS overlay hub token revoke <id>')
    expect(page).toContain('\\fB\\-\\-stun\\-port\\fR \\fIstun\\-port\\fR')
    expect(page).not.toContain('overlay hub front')
  })

  it('says an option of a group once', () => {
    expect((PAGES.get('overlay-hub.1') ?? '').split('\\fB\\-\\-state\\fR')).toHaveLength(2)
  })

  it('says an option again where the group does not hand it down', () => {
    const [, faults = ''] = (PAGES.get('overlay-lab.1') ?? '').split('.SS overlay lab faults')
    const [section = ''] = faults.split('.SH')
    expect(section).toContain('\\fB\\-\\-rtt\\fR')
    expect(section).not.toContain('\\fB\\-\\-json\\fR')
  })

  const noGroff = lackOf('groff')
  it.skipIf(noGroff !== '').each([...PAGES])(`%s has no fault that groff sees${noGroff}`, (_, page) => {
    const run = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-z'], { input: page, encoding: 'utf8' })
    expect(run.stderr).toBe('')
    expect(run.status).toBe(0)
  })

  const noMan = lackOf('man')
  it.skipIf(noMan !== '')(`is shown by man without a warning${noMan}`, () => {
    for (const page of PAGES.values()) {
      const run = spawnSync('man', ['--warnings', '-E', 'UTF-8', '-l', '-Tutf8', '-'], {
        input: page,
        encoding: 'utf8',
        env: { ...process.env, MANPAGER: 'cat', MANWIDTH: '80' },
      })
      expect(run.stderr).toBe('')
    }
  })
})

it('the page of error codes is that of the code', () => {
  const written = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')
  expect(written, 'npm run man').toBe(errorPage())
})
