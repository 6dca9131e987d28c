#!/usr/bin/env node
/**
 * Builds the addon and the guard that the package brings along, so that an install needs no compiler:
 * prebuilds/linux-x64 and prebuilds/linux-arm64, on Debian with the compilers of both.
 *
 *   node bin/prebuild.mjs [x64|arm64]...    all, if none is named; only what is out of date
 *
 * They run wherever Node's own builds do: nothing newer than glibc 2.28 is asked for, and no libstdc++. The compiler's
 * glibc is newer, and would have the linker ask for its newest symbols. So what moved since then is linked against empty
 * libraries that have these symbols where, and with the versions that, glibc 2.28 has them; the rest is in
 * native/prebuilt/old-glibc.cc. The result is checked. The guard is linked statically.
 */

import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
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
} from './build-tools.mjs'

const OLDEST_GLIBC = [2, 28]

/** `oldest`: the version of glibc's first symbols on that machine. */
const MACHINES = {
  x64: { compiler: 'x86_64-linux-gnu', oldest: 'GLIBC_2.2.5', threadNames: 'GLIBC_2.12' },
  arm64: { compiler: 'aarch64-linux-gnu', oldest: 'GLIBC_2.17', threadNames: 'GLIBC_2.17' },
}

/** Symbols that were in these libraries, and are in libc.so.6 since glibc 2.32 and 2.34. */
const MOVED = {
  'libdl.so.2': ['dlsym'],
  'libpthread.so.0': [
    '__pthread_key_create',
    'pthread_create',
    'pthread_detach',
    'pthread_getspecific',
    'pthread_join',
    'pthread_key_create',
    'pthread_key_delete',
    'pthread_mutex_trylock',
    'pthread_once',
    'pthread_setname_np',
    'pthread_setspecific',
    'pthread_sigmask',
  ],
}

/** Libraries that every glibc has. */
const ALLOWED_LIBRARIES = /^(libc\.so\.6|libdl\.so\.2|libpthread\.so\.0|ld-linux-.*)$/

function main() {
  const named = process.argv.slice(2)
  const unknown = named.find((name) => MACHINES[name] === undefined)
  if (unknown !== undefined) {
    throw new SetupError(`unknown machine ${unknown}; use ${Object.keys(MACHINES).join(' or ')}`)
  }
  for (const name of named.length === 0 ? Object.keys(MACHINES) : named) prebuild(name)
}

function prebuild(name) {
  const to = join(ROOT, 'prebuilds', `linux-${name}`)
  const sources = [...NATIVE_SOURCES, join(ROOT, 'native/prebuilt'), join(ROOT, 'bin/prebuild.mjs')]
  if (Math.min(modifiedMs(join(to, ADDON)), modifiedMs(join(to, GUARD))) > newestMs(sources)) return
  const { compiler } = MACHINES[name]
  if (!hasProgram(`${compiler}-g++`)) {
    const debian = compiler.replace('_', '-')
    throw new SetupError(`${compiler}-g++ is missing; type: sudo apt-get install -y g++-${debian}`)
  }
  const directory = mkdtempSync(join(tmpdir(), 'overlay-prebuild-'))
  try {
    say(`building the addon for linux-${name}`)
    build(directory, name)
    const built = join(directory, 'build', 'Release')
    checkAddon(join(built, ADDON), compiler)
    mkdirSync(to, { recursive: true })
    const now = new Date()
    for (const file of [ADDON, GUARD]) {
      copyFileSync(join(built, file), join(to, file))
      utimesSync(join(to, file), now, now)
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
  const canRun = process.platform === 'linux' && process.arch === name
  if (canRun && !isLoadable(join(to, ADDON))) throw new SetupError(`${join(to, ADDON)} does not load here`)
}

/** In a directory of its own: build/ of the checkout stays as it is. */
function build(directory, name) {
  for (const entry of ['native', 'node_modules', 'binding.gyp', 'package.json']) {
    symlinkSync(join(ROOT, entry), join(directory, entry))
  }
  const { compiler } = MACHINES[name]
  const libraries = Object.keys(MOVED).map((library) => makeOldLibrary(directory, library, MACHINES[name]))
  const env = {
    ...process.env,
    CC: `${compiler}-gcc`,
    CXX: `${compiler}-g++`,
    LINK: `${compiler}-g++`,
    AR: `${compiler}-ar`,
    MAKEFLAGS: '-s -j2',
  }
  const args = [requireNodeGyp(), 'rebuild', `--arch=${name}`, '--loglevel=error', ...nodeDirArguments()]
  const definition = `-Dprebuilt_with=${libraries.join(' ')}`
  const failure = `building the addon for linux-${name} failed; see above`
  run(process.execPath, [...args, '--', definition], failure, { cwd: directory, env })
}

/** An empty library with the symbols that moved out of it. */
function makeOldLibrary(directory, library, { compiler, oldest, threadNames }) {
  const file = join(directory, library)
  const symbols = MOVED[library]
  const versionOf = (symbol) => (symbol === 'pthread_setname_np' ? threadNames : oldest)
  const versions = new Set(symbols.map(versionOf))
  const map = [...versions].map((version) => {
    const own = symbols.filter((symbol) => versionOf(symbol) === version)
    return `${version} { ${own.map((symbol) => `${symbol};`).join(' ')} };\n`
  })
  writeFileSync(`${file}.map`, map.join(''))
  writeFileSync(`${file}.c`, symbols.map((symbol) => `void ${symbol}(void) {}\n`).join(''))
  const options = ['-shared', '-nostdlib', '-fPIC', '-fno-builtin', '-w', '-o', file]
  const linker = [`-Wl,-soname,${library}`, `-Wl,--version-script=${file}.map`]
  run(`${compiler}-gcc`, [...options, ...linker, `${file}.c`], `making ${library} failed; see above`)
  return file
}

/** Throws unless it asks for nothing that an old system lacks. */
function checkAddon(file, compiler) {
  const dump = spawnSync(`${compiler}-objdump`, ['-p', file], { encoding: 'utf8' })
  if (dump.status !== 0) throw new SetupError(`${compiler}-objdump: ${dump.error?.message ?? dump.stderr}`)
  const libraries = [...dump.stdout.matchAll(/NEEDED\s+(\S+)/g)].map(([, library]) => library)
  const tooNew = [...dump.stdout.matchAll(/GLIBC_(\d+)\.(\d+)/g)].filter(([, major, minor]) => {
    const [oldMajor, oldMinor] = OLDEST_GLIBC
    return Number(major) > oldMajor || Number(minor) > oldMinor
  })
  const needs = [
    ...libraries.filter((library) => !ALLOWED_LIBRARIES.test(library)),
    ...tooNew.map(([version]) => version),
  ]
  if (needs.length === 0) return
  throw new SetupError(
    `the prebuilt addon would need ${[...new Set(needs)].join(', ')}; see bin/prebuild.mjs`,
  )
}

await runScript(main)
