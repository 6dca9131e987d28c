/**
 * A copy of overlay whose data plane neither seals nor opens: what is left is the price of everything
 * else. It exists for the bench alone, so it is a build of its own and no switch of the product.
 *
 *   build/unsealed/  bin, dist, binding.gyp, package.json   copies: a module's place decides what it loads
 *                    native                                 a link: sources have no place of their own
 *                    build/Release/overlay.node             built here, with OVERLAY_BENCH_UNSEALED=1
 *
 * Packages are found in node_modules of the checkout, two directories up.
 */

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'

export const UNSEALED_TREE: string = resolve('build/unsealed')

const COPIES = ['bin', 'dist', 'binding.gyp', 'package.json']
const DEFINE = '-DOVERLAY_BENCH_UNSEALED=1'

export function buildUnsealed(): void {
  mkdirSync(UNSEALED_TREE, { recursive: true })
  for (const name of [...COPIES, 'native'])
    rmSync(join(UNSEALED_TREE, name), { recursive: true, force: true })
  // Times are kept: the build looks at them to tell what is out of date.
  for (const name of COPIES) {
    cpSync(resolve(name), join(UNSEALED_TREE, name), { recursive: true, preserveTimestamps: true })
  }
  symlinkSync(resolve('native'), join(UNSEALED_TREE, 'native'))
  const env = { ...process.env, CPPFLAGS: [process.env.CPPFLAGS, DEFINE].filter(Boolean).join(' ') }
  // The copy takes itself for a checkout and builds its own addon, as the product does.
  const args = [join(UNSEALED_TREE, 'bin/setup.mjs'), 'addon']
  const { status } = spawnSync(process.execPath, args, { env, stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Error('building overlay without sealing failed; see above')
}
