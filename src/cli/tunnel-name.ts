/**
 * FILE or NAME on the command line -> interface name and tunnel file. A name is looked for in
 * /etc/overlay, then /etc/wireguard. The interface is called like the file, without `.conf`.
 */

import { readdirSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { AppError, ERROR_CODES, UsageError } from '../base/errors.js'
import { toPlatformError } from '../platform/system-error.js'

const CONFIG_DIRECTORIES: readonly string[] = ['/etc/overlay', '/etc/wireguard']
const SUFFIX = '.conf'
/** wg-quick's rule for interface names; at most 15 bytes are the kernel's. */
const INTERFACE_NAME = /^[a-zA-Z0-9_=+.-]{1,15}$/
/** Names of directories in the kernel's settings, and of no file. */
const RESERVED_NAMES: readonly string[] = ['.', '..', 'all', 'default']

export const NAME_HINT = 'use 1 to 15 letters, digits and _ = + . -, but not all or default'

export interface TunnelTarget {
  readonly interfaceName: string
  /** Absolute path; it exists. */
  readonly file: string
}

/** For commands that need the file. */
export function findTunnel(
  target: string,
  directories: readonly string[] = CONFIG_DIRECTORIES,
): TunnelTarget {
  if (!isFileName(target)) return findByName(target, directories)
  const file = resolve(target)
  const interfaceName = interfaceNameOf(target)
  if (isThere(file)) return { interfaceName, file }
  throw new AppError(ERROR_CODES.config, `there is no file ${file}`, { hint: 'check the path' })
}

/** For commands that need only the name: the file may be gone by now. */
export function interfaceNameOf(target: string): string {
  if (isFileName(target) && !target.endsWith(SUFFIX)) {
    throw new UsageError(`${target} does not end in ${SUFFIX}`, {
      hint: 'the interface is called like the file: wg0.conf makes wg0',
    })
  }
  const name = isFileName(target) ? basename(target).slice(0, -SUFFIX.length) : target
  if (INTERFACE_NAME.test(name) && !RESERVED_NAMES.includes(name)) return name
  throw new UsageError(`"${name}" cannot be the name of an interface`, {
    hint: NAME_HINT,
  })
}

/** Names of all tunnel files in the configuration directories. */
export function listTunnelNames(directories: readonly string[] = CONFIG_DIRECTORIES): string[] {
  const names = directories.flatMap((directory) => {
    try {
      return readdirSync(directory)
    } catch {
      return [] // no such directory, or not for us to read
    }
  })
  const tunnels = names.filter((name) => name.endsWith(SUFFIX)).map((name) => name.slice(0, -SUFFIX.length))
  return [...new Set(tunnels)].sort()
}

function isFileName(target: string): boolean {
  return target.includes('/') || target.endsWith(SUFFIX)
}

/** A directory that we may not look into is not the same as one without the file. */
function isThere(file: string): boolean {
  try {
    return statSync(file, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    throw toPlatformError(error, `cannot look for ${file}`, 'run as root, for example with sudo')
  }
}

function findByName(name: string, directories: readonly string[]): TunnelTarget {
  const interfaceName = interfaceNameOf(name)
  const candidates = directories.map((directory) => join(directory, `${interfaceName}.conf`))
  const file = candidates.find(isThere)
  if (file !== undefined) return { interfaceName, file }
  throw new AppError(
    ERROR_CODES.config,
    `there is no tunnel ${name}: looked for ${candidates.join(' and ')}`,
    {
      hint: `write one of them, or name a file: overlay up ./${interfaceName}.conf`,
    },
  )
}
