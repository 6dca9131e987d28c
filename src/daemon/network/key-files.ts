/**
 * The private keys of a node on disk: the current one in the file that PrivateKeyFile names, and beside it, while
 * it may still be used, the previous one. When a key came into use is the time of its file; the previous one's
 * file is as old as the change.
 *
 * INVARIANT: at every moment the files hold all keys that peers may know this node by.
 */

import { readFileSync, rmSync, statSync } from 'node:fs'
import { parsePrivateKey } from '../../config/parse.js'
import { replaceFile } from '../../platform/replace-file.js'
import { formatKeyBase64, type PrivateKey } from '../../wireguard/keys.js'

export interface StoredKey {
  readonly key: PrivateKey
  /** Wall clock, ms. */
  readonly sinceMs: number
}

export class KeyFiles {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** Throws ConfigError, PlatformError or what the file system throws. */
  readCurrent(): StoredKey {
    return read(this.#path)
  }

  /** Undefined if there is none. Throws as `readCurrent`. */
  readPrevious(): StoredKey | undefined {
    try {
      return read(previousKeyFile(this.#path))
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw error
    }
  }

  /**
   * The previous one first: killed in between, the node goes on with the key that it had. The next one's time is
   * later than that of the current one, whatever the clock says. Throws PlatformError.
   */
  replace(current: PrivateKey, next: PrivateKey, nowMs: number): void {
    const { sinceMs } = this.readCurrent()
    write(previousKeyFile(this.#path), current, nowMs)
    write(this.#path, next, Math.max(nowMs, sinceMs + 1000))
  }

  deletePrevious(): void {
    rmSync(previousKeyFile(this.#path), { force: true })
  }
}

export function previousKeyFile(path: string): string {
  return `${path}.previous`
}

function read(path: string): StoredKey {
  const text = readFileSync(path, 'utf8')
  return { key: parsePrivateKey(text, path), sinceMs: statSync(path).mtimeMs }
}

function write(path: string, key: PrivateKey, sinceMs: number): void {
  replaceFile(path, `${formatKeyBase64(key)}\n`, `cannot write ${path}`, sinceMs)
}

/** Of the key that is in use since `sinceMs`: later keys have higher numbers. */
export function keyNumberOf(sinceMs: number): number {
  return Math.floor(sinceMs / 1000)
}
