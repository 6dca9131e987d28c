/** The HTTP proxy that a tunnel file or the environment names, with what it takes to connect to it. */

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { proxyAccess } from '../../config/proxy.js'
import type { HttpProxy } from '../../net/http-proxy.js'
import { toPlatformError } from '../../platform/system-error.js'

/** Undefined if there is none. `directory`: of relative paths. Throws AppError. */
export function openProxy(
  { proxy, proxyCa }: { readonly proxy?: string | undefined; readonly proxyCa?: string | undefined },
  directory: string,
): HttpProxy | undefined {
  const access = proxyAccess(proxy, process.env)
  if (access === undefined || proxyCa === undefined) return access
  const path = resolve(directory, proxyCa)
  try {
    return { ...access, authority: readFileSync(path, 'utf8') }
  } catch (error) {
    throw toPlatformError(error, `cannot read the certificates of the proxy in ${path}`, 'correct ProxyCA')
  }
}
