#!/usr/bin/env node
/**
 * Writes what is made from the tables in src/: the manual pages into man/, which is packed but not kept in the
 * repository, and docs/errors.md. It needs dist/; `npm run man` makes that first.
 */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { COMMANDS } from '../dist/cli/commands.js'
import { errorPage } from '../dist/cli/error-page.js'
import { manPages } from '../dist/cli/man-pages.js'
import { programVersion } from '../dist/platform/version.js'

const directory = new URL('../man/', import.meta.url)
const pages = manPages(COMMANDS, programVersion())
rmSync(directory, { recursive: true, force: true })
mkdirSync(directory)
for (const [name, text] of pages) writeFileSync(new URL(name, directory), text)
writeFileSync(new URL('../docs/errors.md', import.meta.url), errorPage())
process.stdout.write(`${pages.size} manual pages in ${fileURLToPath(directory)}, and docs/errors.md\n`)
