/**
 * Tests that need root or certain programs say so here, in one way.
 *
 * Where something is missing the tests are skipped and their title tells what; with CI set the same
 * lack is a failure, so that no release is judged by tests that did not run.
 */

import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'vitest'

/** `programs`: names looked up in PATH; `root` and `/dev/net/tun` are always needed. */
export function requirement(title: string, programs: readonly string[], define: () => void): void {
  const missing = missingOf(programs)
  if (missing.length === 0) {
    describe(title, define)
  } else if (process.env.CI === undefined) {
    describe.skip(`${title} [skipped: needs ${missing.join(', ')}]`, define)
  } else {
    describe(title, () => {
      test('finds what it needs', () => {
        throw new Error(`missing: ${missing.join(', ')}`)
      })
    })
  }
}

/**
 * For tests that need a program and no privilege: what is to be added to their titles; empty if they run, as with CI set
 * they do in any case.
 */
export function lackOf(program: string): string {
  return isInPath(program) || process.env.CI !== undefined ? '' : ` [skipped: needs ${program}]`
}

function missingOf(programs: readonly string[]): string[] {
  const missing = programs.filter((program) => !isInPath(program))
  if (process.getuid?.() !== 0) missing.unshift('root')
  if (!isUsable('/dev/net/tun', constants.R_OK | constants.W_OK)) missing.unshift('/dev/net/tun')
  return missing
}

function isInPath(program: string): boolean {
  const directories = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`.split(':')
  return directories.some((directory) => isUsable(join(directory, program), constants.X_OK))
}

function isUsable(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}
