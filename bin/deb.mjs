#!/usr/bin/env node
/**
 * Makes overlay_VERSION_ARCH.deb: the program with its packages and prebuilt files, units, manual pages and completions.
 *
 *   node bin/deb.mjs [--to DIRECTORY] [amd64|arm64]...    both, if none is named; here, if no directory is
 *
 * It depends on a nodejs that is new enough, which is NodeSource's on systems whose own is older. What runs on the
 * system when it comes and goes is in configs/deb/.
 */

import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { hasProgram, ROOT, run, runScript, SetupError, say } from './build-tools.mjs'

/** Debian's name of a machine → Node's. */
const MACHINES = { amd64: 'x64', arm64: 'arm64' }
/** Of the npm package, what only builds. */
const BUILD_ONLY = [
  'native',
  'binding.gyp',
  'bin/setup.mjs',
  'bin/build-tools.mjs',
  'prebuilds',
  'configs',
  'man',
]
const BUILD_ONLY_PACKAGES = ['node-addon-api']
const COMPLETIONS = {
  bash: 'usr/share/bash-completion/completions/overlay',
  zsh: 'usr/share/zsh/vendor-completions/_overlay',
  fish: 'usr/share/fish/vendor_completions.d/overlay.fish',
}
const LIBRARY = 'usr/lib/overlay'

function main() {
  const { values, positionals } = parseArgs({ options: { to: { type: 'string' } }, allowPositionals: true })
  const unknown = positionals.find((name) => MACHINES[name] === undefined)
  if (unknown !== undefined) {
    throw new SetupError(`unknown machine ${unknown}; use ${Object.keys(MACHINES).join(' or ')}`)
  }
  if (!hasProgram('dpkg-deb')) throw new SetupError('dpkg-deb is missing; it is part of Debian and Ubuntu')
  const directory = mkdtempSync(join(tmpdir(), 'overlay-deb-'))
  try {
    const packed = packNpm(directory)
    const names = positionals.length === 0 ? Object.keys(MACHINES) : positionals
    for (const name of names) makeDeb(directory, packed, name, resolve(values.to ?? '.'))
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** What npm would install, unpacked: files, modes and all that prepack makes are the same. */
function packNpm(directory) {
  run('npm', ['pack', '--silent', '--pack-destination', directory], 'npm pack failed; see above', {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const tarball = readdirSync(directory).find((name) => name.endsWith('.tgz'))
  run('tar', ['-xzf', join(directory, tarball), '-C', directory], 'unpacking failed; see above')
  return join(directory, 'package')
}

function makeDeb(directory, packed, name, to) {
  const { version, description, engines } = JSON.parse(readFileSync(join(packed, 'package.json'), 'utf8'))
  const top = join(directory, name)
  const library = join(top, LIBRARY)
  const prebuilt = `prebuilds/linux-${MACHINES[name]}`
  mkdirSync(library, { recursive: true })
  cpSync(packed, library, { recursive: true })
  for (const entry of BUILD_ONLY) rmSync(join(library, entry), { recursive: true })
  cpSync(join(packed, prebuilt), join(library, prebuilt), { recursive: true })
  copyPackages(library)
  linkPrograms(top)
  copyPages(packed, top)
  copyUnits(packed, top)
  writeControl(top, { name, version, description, engine: engines.node })
  const file = join(to, `overlay_${version}_${name}.deb`)
  run('dpkg-deb', ['--root-owner-group', '--build', top, file], `making ${file} failed; see above`, {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  say(`made ${file}`)
}

/** Those that the lock file names, as they are installed in this checkout. */
function copyPackages(library) {
  const words = ['ls', '--all', '--parseable', '--omit=dev', '--omit=peer', '--omit=optional']
  const listing = spawnSync('npm', words, { cwd: ROOT, encoding: 'utf8' })
  const paths = listing.stdout.trim().split('\n').slice(1)
  if (listing.status !== 0 || paths.length === 0) throw new SetupError(`npm ls failed: ${listing.stderr}`)
  for (const path of paths) {
    const place = relative(ROOT, path)
    if (BUILD_ONLY_PACKAGES.some((name) => place === join('node_modules', name))) continue
    cpSync(path, join(library, place), { recursive: true, filter: (from) => !isForDevelopers(from) })
  }
}

/** Types, source maps, and packages inside of one, which npm lists for themselves. */
function isForDevelopers(path) {
  return /\.(map|[cm]?ts)$/.test(path)
}

function linkPrograms(top) {
  mkdirSync(join(top, 'usr/bin'), { recursive: true })
  for (const program of ['overlay', 'overlay-device']) {
    symlinkSync(`../lib/overlay/bin/${program}`, join(top, 'usr/bin', program))
  }
}

function copyPages(packed, top) {
  const pages = join(top, 'usr/share/man/man1')
  mkdirSync(pages, { recursive: true })
  for (const page of readdirSync(join(packed, 'man'))) {
    writeFileSync(join(pages, `${page}.gz`), gzipSync(readFileSync(join(packed, 'man', page)), { level: 9 }))
  }
  const texts = join(top, 'usr/share/doc/overlay')
  mkdirSync(texts, { recursive: true })
  copyFileSync(join(packed, 'LICENSE'), join(texts, 'copyright'))
  for (const [shell, place] of Object.entries(COMPLETIONS)) {
    const words = [join(ROOT, 'bin/overlay'), 'completion', shell]
    const script = spawnSync(process.execPath, words, { encoding: 'utf8' })
    if (script.status !== 0) throw new SetupError(`overlay completion ${shell} failed: ${script.stderr}`)
    mkdirSync(join(top, place, '..'), { recursive: true })
    writeFileSync(join(top, place), script.stdout)
  }
}

function copyUnits(packed, top) {
  const units = join(top, 'usr/lib/systemd/system')
  const examples = join(top, 'usr/share/doc/overlay/examples')
  for (const directory of [units, examples]) mkdirSync(directory, { recursive: true })
  for (const name of readdirSync(join(packed, 'configs'), { withFileTypes: true })) {
    if (!name.isFile()) continue
    const to = name.name.endsWith('.service') ? units : examples
    copyFileSync(join(packed, 'configs', name.name), join(to, name.name))
  }
}

function writeControl(top, { name, version, description, engine }) {
  const [, node] = /^>=(\d+\.\d+)$/.exec(engine) ?? []
  if (node === undefined) throw new SetupError(`engines.node in package.json is no lower bound: ${engine}`)
  const control = join(top, 'DEBIAN')
  mkdirSync(control)
  const lines = [
    'Package: overlay',
    `Version: ${version}`,
    `Architecture: ${name}`,
    'Maintainer: The overlay authors',
    'Section: net',
    'Priority: optional',
    // Of glibc: what bin/prebuild.mjs checks.
    `Depends: nodejs (>= ${node}), libc6 (>= 2.28)`,
    'Recommends: nftables',
    'Suggests: wireguard-tools',
    'Description: encrypted peer-to-peer network over WireGuard',
    ` ${description}`,
  ]
  writeFileSync(join(control, 'control'), `${lines.join('\n')}\n`)
  for (const script of ['postinst', 'prerm', 'postrm']) {
    copyFileSync(join(ROOT, 'configs/deb', script), join(control, script))
    chmodSync(join(control, script), 0o755)
  }
}

await runScript(main)
