#!/usr/bin/env node
/**
 * Makes the checkout ready to run, doing only what is out of date. Plain JavaScript without a
 * dependency: it runs before anything is installed.
 *
 *   node bin/setup.mjs         packages, dist/ and the addon
 *   node bin/setup.mjs addon   the addon only; `npm install` calls this
 *   node bin/setup.mjs test    as the first; in CI as root also the programs that tests use
 */

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync, utimesSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const MIN_NODE = [20, 19]

/** Program → Debian package, for tests. */
const TEST_PROGRAMS = {
  'wireguard-go': 'wireguard-go',
  wg: 'wireguard-tools',
  iperf3: 'iperf3',
  tcpdump: 'tcpdump',
  tshark: 'tshark',
  sshd: 'openssh-server',
  ssh: 'openssh-client',
  nft: 'nftables',
  ip: 'iproute2',
  ping: 'iputils-ping',
  curl: 'curl',
}

class SetupError extends Error {}

function main() {
  requireNode()
  const task = process.argv[2] ?? 'all'
  if (!['all', 'addon', 'test'].includes(task)) {
    throw new SetupError(`unknown task ${task}; use none, addon or test`)
  }
  if (task !== 'addon') installPackages()
  buildAddon()
  if (task !== 'addon') buildDist()
  if (task === 'test') installTestPrograms()
}

function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])) return
  throw new SetupError(
    `overlay needs Node ${MIN_NODE.join('.')} or newer, this is ${process.versions.node}; get one from your system's packages or nodejs.org`,
  )
}

// --- packages ----------------------------------------------------------------------------------

function installPackages() {
  const installed = join(ROOT, 'node_modules', '.package-lock.json')
  if (modifiedMs(installed) >= modifiedMs(join(ROOT, 'package-lock.json'))) return
  say('installing packages')
  // The addon is built below, once and with our own messages.
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], 'installing packages failed; see above')
}

// --- dist --------------------------------------------------------------------------------------

function buildDist() {
  const sources = newestMs([
    join(ROOT, 'src'),
    join(ROOT, 'tsconfig.json'),
    join(ROOT, 'tsconfig.build.json'),
  ])
  // Every build writes all of its output, so the newest tells when the last one was.
  if (newestMs([join(ROOT, 'dist')]) >= sources) return
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  if (!existsSync(tsc)) throw new SetupError('the TypeScript compiler is not installed; type: npm ci')
  say('building dist')
  run(process.execPath, [tsc, '-p', 'tsconfig.build.json'], 'building dist failed; see above')
}

// --- addon -------------------------------------------------------------------------------------

function buildAddon() {
  const sources = ['binding.gyp', 'native/core', 'native/binding'].map((path) => join(ROOT, path))
  const built = join(ROOT, 'build', 'Release', 'overlay.node')
  if (modifiedMs(built) > newestMs(sources)) return
  const nodeGyp = requireNodeGyp()
  requireBuildTools()
  say('building the addon')
  const args = [nodeGyp, 'configure', 'build', '--loglevel=warn', ...nodeDirArguments()]
  run(process.execPath, args, 'building the addon failed; see above')
  // make leaves the file alone if nothing in it changed.
  const now = new Date()
  utimesSync(built, now, now)
}

function requireNodeGyp() {
  const require = createRequire(join(ROOT, 'package.json'))
  try {
    require.resolve('node-addon-api')
  } catch {
    throw new SetupError('packages are not installed; type: npm ci')
  }
  try {
    return require.resolve('node-gyp/bin/node-gyp.js')
  } catch {
    // A production install has no node-gyp of its own; npm brings one and names it to install scripts.
    const fromNpm = process.env.npm_config_node_gyp ?? npmNodeGyp()
    if (fromNpm !== undefined && existsSync(fromNpm)) return fromNpm
    throw new SetupError('node-gyp is not installed; type: npm ci --include=dev')
  }
}

function npmNodeGyp() {
  const npm = process.env.npm_execpath
  return npm === undefined ? undefined : join(dirname(npm), '../node_modules/node-gyp/bin/node-gyp.js')
}

function requireBuildTools() {
  const hasCompiler = process.env.CXX !== undefined || hasProgram('g++') || hasProgram('c++')
  const hasPython = process.env.PYTHON !== undefined || hasProgram('python3')
  const missing = []
  if (!hasCompiler) missing.push('a C++ compiler')
  if (!hasProgram('make')) missing.push('make')
  if (!hasPython) missing.push('Python 3')
  if (missing.length === 0) return
  throw new SetupError(
    `overlay needs ${missing.join(' and ')} to build its addon; type: sudo apt-get install -y build-essential python3`,
  )
}

/** node-gyp downloads headers unless it is told where they are. */
function nodeDirArguments() {
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

// --- programs for tests ------------------------------------------------------------------------

function installTestPrograms() {
  if (!process.env.CI || process.getuid?.() !== 0) return
  const packages = Object.entries(TEST_PROGRAMS)
    .filter(([program]) => !hasProgram(program))
    .map(([, name]) => name)
  if (packages.length === 0) return
  if (!hasProgram('apt-get')) {
    say(`tests will skip what needs ${packages.join(', ')}: there is no apt-get to install it`)
    return
  }
  say(`installing ${packages.join(' ')}`)
  const failure = 'installing the programs for tests failed; see above'
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  run('apt-get', ['update', '-qq'], failure, { env })
  if (packages.includes('tshark') && hasProgram('debconf-set-selections')) {
    const input = 'wireshark-common wireshark-common/install-setuid boolean false\n'
    run('debconf-set-selections', [], failure, { env, input })
  }
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], failure, { env })
}

// --- small things ------------------------------------------------------------------------------

function hasProgram(name) {
  const places = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return places.some((place) => place !== '' && existsSync(join(place, name)))
}

/** 0 if there is none. */
function modifiedMs(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

function newestMs(paths) {
  let newest = 0
  for (const path of paths) {
    const stat = statSync(path, { throwIfNoEntry: false })
    if (stat === undefined) continue
    const entries = stat.isDirectory() ? readdirSync(path).map((name) => join(path, name)) : []
    newest = Math.max(newest, stat.isDirectory() ? newestMs(entries) : stat.mtimeMs)
  }
  return newest
}

function run(program, args, failure, options = {}) {
  const stdio = [options.input === undefined ? 'inherit' : 'pipe', 'inherit', 'inherit']
  const result = spawnSync(program, args, { cwd: ROOT, stdio, ...options })
  if (result.error !== undefined) throw new SetupError(`cannot run ${program}: ${result.error.message}`)
  if (result.status !== 0) throw new SetupError(failure)
}

function say(text) {
  process.stderr.write(`overlay: ${text}\n`)
}

try {
  main()
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  say(error.message)
  process.exitCode = 1
}
