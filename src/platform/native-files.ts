/**
 * Where the native files of the program are: built on this machine (bin/setup.mjs), or brought along by the
 * package for the usual platforms (bin/prebuild.mjs). What was built here comes first: it was made because the other
 * is older than its sources, or does not load.
 */

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

type NativeFile = 'overlay.node' | 'overlay-guard'

/** Of the package or checkout; ends with a slash. */
const ROOT: string = fileURLToPath(new URL('../../', import.meta.url))
const BUILT = 'build/Release'
const PREBUILT = `prebuilds/${process.platform}-${process.arch}`

const SETUP = `${ROOT}bin/setup.mjs`

/** How to make them; a package of the system cannot. */
export const NATIVE_FILES_HINT: string = existsSync(SETUP)
  ? `type: node ${SETUP} addon`
  : 'install the package of overlay for this machine again'

/** Its path; where it should be built if there is none. */
export function nativeFile(name: NativeFile): string {
  // Both are of one make, so the addon tells of the guard too.
  const hasPrebuilt =
    !existsSync(`${ROOT}${BUILT}/overlay.node`) && existsSync(`${ROOT}${PREBUILT}/overlay.node`)
  return `${ROOT}${hasPrebuilt ? PREBUILT : BUILT}/${name}`
}
