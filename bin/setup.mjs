#!/usr/bin/env node
/**
 * Makes the checkout ready to run, doing only what is out of date. Plain JavaScript without a
 * dependency: it runs before anything is installed.
 *
 *   node bin/setup.mjs         packages, dist/ and the addon
 *   node bin/setup.mjs addon   the addon only; `npm install` calls this. Nothing to do where the package brought one
 *   node bin/setup.mjs test    as the first, and the other releases of Node that tests run on; in CI as root
 *                              also the programs that tests use
 */

import { existsSync, statSync, utimesSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import {
  ADDON,
  GUARD,
  hasProgram,
  isLoadable,
  modifiedMs,
  NATIVE_SOURCES,
  newestMs,
  nodeDirArguments,
  ROOT,
  requireNodeGyp,
  run,
  runScript,
  SetupError,
  say,
  tryRun,
} from './build-tools.mjs'

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
  conntrack: 'conntrack',
  turnserver: 'coturn',
  turnutils_natdiscovery: 'coturn',
  miniupnpd: 'miniupnpd-nftables',
  'systemd-analyze': 'systemd',
  zsh: 'zsh',
  fish: 'fish',
  man: 'man-db',
  groff: 'groff-base',
  'clang-format': 'clang-format',
  'clang-tidy': 'clang-tidy',
  valgrind: 'valgrind',
  'aarch64-linux-gnu-g++': 'g++-aarch64-linux-gnu',
  'qemu-aarch64-static': 'qemu-user-static',
}

async function main() {
  requireNode()
  const task = process.argv[2] ?? 'all'
  if (!['all', 'addon', 'test'].includes(task)) {
    throw new SetupError(`unknown task ${task}; use none, addon or test`)
  }
  const unlock = await lock()
  try {
    if (task !== 'addon') installPackages()
    buildAddon()
    if (task !== 'addon') {
      buildSqlite()
      buildDist()
    }
    if (task === 'test') {
      installOtherNodes()
      installTestPrograms()
    }
  } finally {
    unlock()
  }
}

function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])) return
  throw new SetupError(
    `overlay needs Node ${MIN_NODE.join('.')} or newer, this is ${process.versions.node}; get one from your system's packages or nodejs.org`,
  )
}

// --- one at a time -----------------------------------------------------------------------------

/**
 * Two runs in one checkout would write the same files. The lock is an abstract socket of the kernel:
 * it ends with its process, whatever happens, and those who wait are connected to it and notice.
 */
async function lock() {
  const { dev, ino } = statSync(ROOT)
  const name = `\0overlay-setup-${process.getuid?.() ?? ''}-${dev}-${ino}`
  for (let isTold = false; ; isTold = true) {
    const server = await tryListen(name)
    if (server !== undefined) return () => server.close()
    if (!isTold) say('waiting for another setup of this checkout to end')
    await untilGone(name)
  }
}

function tryListen(name) {
  return new Promise((resolve, reject) => {
    const server = createServer((waiting) => waiting.on('error', () => undefined).unref())
    server.once('listening', () => resolve(server.unref()))
    server.once('error', (error) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)))
    server.listen(name)
  })
}

function untilGone(name) {
  return new Promise((resolve) => {
    connect(name)
      .on('error', () => undefined)
      .on('close', resolve)
      .resume()
  })
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
  const built = join(ROOT, 'build', 'Release', ADDON)
  const guard = join(ROOT, 'build', 'Release', GUARD)
  const isNew = Math.min(modifiedMs(built), modifiedMs(guard)) > newestMs(NATIVE_SOURCES)
  if (isNew && isLoadable(built)) return
  if (hasPrebuilt()) return
  const nodeGyp = requireNodeGyp()
  requireBuildTools()
  say('building the addon')
  // New and of no use: made for another machine, so that nothing of it can be kept.
  const steps = isNew ? ['rebuild'] : ['configure', 'build']
  const args = [nodeGyp, ...steps, '--loglevel=warn', ...nodeDirArguments()]
  run(process.execPath, args, 'building the addon failed; see above')
  // make leaves the file alone if nothing in it changed.
  const now = new Date()
  for (const file of [built, guard]) utimesSync(file, now, now)
}

/**
 * An installed package has the addon of the usual platforms with it (bin/prebuild.mjs), and src/platform/native-files.ts
 * finds it there. In a checkout, which alone has src/, it may be older than its sources.
 */
function hasPrebuilt() {
  if (existsSync(join(ROOT, 'src'))) return false
  return isLoadable(join(ROOT, 'prebuilds', `${process.platform}-${process.arch}`, ADDON))
}

/** The hub's store, where this Node has no SQLite of its own. */
function buildSqlite() {
  if (isBuiltin('node:sqlite')) return
  const directory = join(ROOT, 'node_modules', 'better-sqlite3')
  const built = join(directory, 'build', 'Release', 'better_sqlite3.node')
  if (!existsSync(directory) || (existsSync(built) && isLoadable(built))) return
  const nodeGyp = requireNodeGyp()
  requireBuildTools()
  say('building SQLite for the hub, which takes a minute')
  const args = [nodeGyp, 'rebuild', '--release', '--loglevel=error', ...nodeDirArguments()]
  run(process.execPath, args, 'building better-sqlite3 failed; see above', {
    cwd: directory,
    env: { ...process.env, MAKEFLAGS: '-s' },
  })
}

function requireBuildTools() {
  const hasCompiler = process.env.CXX !== undefined || hasProgram('g++') || hasProgram('c++')
  const hasPython = process.env.PYTHON !== undefined || hasProgram('python3')
  const missing = []
  if (!hasCompiler) missing.push('a C++ compiler')
  if (!hasProgram('make')) missing.push('make')
  if (!hasPython) missing.push('Python 3')
  if (missing.length === 0) return
  const command = hasProgram('apk')
    ? 'apk add build-base python3 linux-headers'
    : 'sudo apt-get install -y build-essential python3'
  throw new SetupError(`overlay needs ${missing.join(' and ')} to build its addon; type: ${command}`)
}

// --- for tests ---------------------------------------------------------------------------------

/**
 * Other releases of Node, for bin/on-node, and that of arm64, which is run under qemu. These packages have lock files of
 * their own: nobody but tests wants them.
 */
function installOtherNodes() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return
  installNodes(join(ROOT, 'test', 'nodes'), [])
  // npm would refuse it as one of another machine.
  installNodes(join(ROOT, 'test', 'nodes', 'arm64'), ['--force', '--loglevel=error'])
}

function installNodes(directory, options) {
  const lock = join(directory, 'package-lock.json')
  const installed = join(directory, 'node_modules', '.package-lock.json')
  if (!existsSync(lock) || modifiedMs(installed) >= modifiedMs(lock)) return
  say('installing other releases of Node, for tests')
  const failure = 'installing other releases of Node failed; see above'
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', ...options]
  run('npm', args, failure, { cwd: directory })
}

function installTestPrograms() {
  if (!process.env.CI || process.getuid?.() !== 0) return
  const missing = Object.entries(TEST_PROGRAMS).filter(([program]) => !hasProgram(program))
  const packages = [...new Set(missing.map(([, name]) => name))]
  if (packages.length === 0) return
  if (!hasProgram('apt-get')) {
    say(`tests will skip what needs ${packages.join(', ')}: there is no apt-get to install it`)
    return
  }
  say(`installing ${packages.join(' ')}`)
  const failure = 'installing the programs for tests failed; see above'
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  // Other jobs of a fresh machine (unattended upgrades) may hold the lock for a while.
  const apt = ['-o', 'DPkg::Lock::Timeout=300', '-qq']
  // One dead source among many is no reason to stop: whether the packages can be had, install tells.
  tryRun('apt-get', [...apt, 'update'], { env })
  if (packages.includes('tshark') && hasProgram('debconf-set-selections')) {
    const input = 'wireshark-common wireshark-common/install-setuid boolean false\n'
    run('debconf-set-selections', [], failure, { env, input })
  }
  run('apt-get', [...apt, 'install', '-y', '--no-install-recommends', ...packages], failure, { env })
}

await runScript(main)
