/**
 * What bin/setup.mjs and bin/prebuild.mjs share. Plain JavaScript without a dependency: it runs before anything
 * is installed.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
/** The two native files of the program. */
export const ADDON = 'overlay.node'
export const GUARD = 'overlay-guard'
/** What they are made of. */
export const NATIVE_SOURCES = ['binding.gyp', 'native/core', 'native/binding', 'native/guard'].map((path) =>
  join(ROOT, path),
)

/** What a person can mend: its message is all that is printed. */
export class SetupError extends Error {}

/** Runs a script to its end; a SetupError is told in one line. */
export async function runScript(main) {
  try {
    await main()
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    say(error.message)
    process.exitCode = 1
  }
}

/** Whether this Node can load that addon. */
export function isLoadable(path) {
  try {
    createRequire(path)(path)
    return true
  } catch {
    return false
  }
}

/** The path of node-gyp's program. */
export function requireNodeGyp() {
  const require = createRequire(join(ROOT, 'package.json'))
  try {
    require.resolve('node-addon-api')
  } catch {
    throw new SetupError('packages are not installed; type: npm ci')
  }
  try {
    return require.resolve('node-gyp/bin/node-gyp.js')
  } catch {
    // An installed package has no node-gyp of its own. npm brings one, and names it to install scripts.
    const fromNpm = process.env.npm_config_node_gyp ?? npmNodeGyp()
    if (fromNpm !== undefined && existsSync(fromNpm)) return fromNpm
    throw new SetupError(
      existsSync(join(ROOT, 'src'))
        ? 'node-gyp is not installed; type: npm ci --include=dev'
        : 'the addon is built with npm, which is not in PATH',
    )
  }
}

function npmNodeGyp() {
  const npm = process.env.npm_execpath ?? findProgram('npm')
  return npm === undefined
    ? undefined
    : join(dirname(realpathSync(npm)), '../node_modules/node-gyp/bin/node-gyp.js')
}

/** node-gyp downloads headers unless it is told where they are. */
export function nodeDirArguments() {
  const prefix = dirname(dirname(process.execPath))
  const candidates = [prefix, process.env.npm_config_nodedir ?? readNpmNodeDir()]
  const found = candidates.find(
    (candidate) => candidate !== undefined && existsSync(join(candidate, 'include', 'node', 'node.h')),
  )
  return found === undefined ? [] : [`--nodedir=${found}`]
}

function readNpmNodeDir() {
  const result = spawnSync('npm', ['config', 'get', 'nodedir'], { encoding: 'utf8' })
  const text = result.status === 0 ? result.stdout.trim() : ''
  return text === '' || text === 'undefined' || text === 'null' ? undefined : text
}

export function hasProgram(name) {
  return findProgram(name) !== undefined
}

function findProgram(name) {
  const places = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return places
    .filter((place) => place !== '')
    .map((place) => join(place, name))
    .find((path) => existsSync(path))
}

/** 0 if there is none. */
export function modifiedMs(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

export function newestMs(paths) {
  let newest = 0
  for (const path of paths) {
    const stat = statSync(path, { throwIfNoEntry: false })
    if (stat === undefined) continue
    const entries = stat.isDirectory() ? readdirSync(path).map((name) => join(path, name)) : []
    newest = Math.max(newest, stat.isDirectory() ? newestMs(entries) : stat.mtimeMs)
  }
  return newest
}

/** Throws a SetupError with `failure` if the program fails. */
export function run(program, args, failure, options = {}) {
  if (!tryRun(program, args, options)) throw new SetupError(failure)
}

/** False if the program fails. */
export function tryRun(program, args, options) {
  const stdio = [options.input === undefined ? 'inherit' : 'pipe', 'inherit', 'inherit']
  const result = spawnSync(program, args, { cwd: ROOT, stdio, ...options })
  if (result.error !== undefined) throw new SetupError(`cannot run ${program}: ${result.error.message}`)
  return result.status === 0
}

export function say(text) {
  process.stderr.write(`overlay: ${text}\n`)
}
