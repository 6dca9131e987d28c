/**
 * Which network namespace this process is in. /run is usually shared between namespaces, network
 * settings are not: what was changed in one must be undone in the same one.
 */

import { readdirSync, readlinkSync, statSync } from 'node:fs'

const NAMED_NAMESPACES = '/run/netns'

/** Identity of our own network namespace, such as `net:[4026531840]`. */
export function networkNamespace(): string {
  return readlinkSync('/proc/self/ns/net')
}

/** Name that `ip netns` knows the namespace by; undefined if it has none. */
export function tryNamespaceName(namespace: string): string | undefined {
  try {
    return readdirSync(NAMED_NAMESPACES).find(
      (name) => `net:[${statSync(`${NAMED_NAMESPACES}/${name}`).ino}]` === namespace,
    )
  } catch {
    return undefined
  }
}

/** Whether any process or name still holds the namespace. */
export function isNamespaceAlive(namespace: string): boolean {
  if (tryNamespaceName(namespace) !== undefined) return true
  return readdirSync('/proc').some((entry) => {
    if (!/^\d+$/.test(entry)) return false
    try {
      return readlinkSync(`/proc/${entry}/ns/net`) === namespace
    } catch {
      return false
    }
  })
}
