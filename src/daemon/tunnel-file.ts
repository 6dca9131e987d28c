/** The tunnel file on disk: reading it, its private key file, and what may look into it. */

import { closeSync, constants, fstatSync, openSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { PlatformError } from '../base/errors.js'
import { type ParsedConfig, parseConfigWithWarnings, parsePrivateKey } from '../config/parse.js'
import type { TunnelConfig } from '../config/types.js'
import { toPlatformError } from '../platform/system-error.js'

const MAX_FILE_BYTES = 64 * 1024 * 1024
const OTHERS_MAY_READ = 0o044
const OWNER_MAY_READ = 0o400

export interface LoadTunnel {
  /** Reads and parses the file. Throws ConfigError, PlatformError. */
  parse(): TunnelConfig
  /** With the key that PrivateKeyFile names. Throws ConfigError, PlatformError. */
  withPrivateKey(config: TunnelConfig): TunnelConfig
}

export function loadTunnelFrom(path: string): LoadTunnel {
  return {
    parse: () => parseTunnelFile(path).config,
    withPrivateKey: (config) => withPrivateKey(config, path),
  }
}

/**
 * A tunnel that is brought up needs a private key, but hooks may set it: `PostUp = wg set %i
 * private-key …` is in wg-quick's own manual.
 */
export function parseTunnelFile(path: string): ParsedConfig {
  const text = readText(path)
  const parsed = parseConfigWithWarnings(text, path)
  const { preUp, postUp } = parsed.config.interface
  if (preUp.length + postUp.length > 0) return parsed
  return parseConfigWithWarnings(text, path, { needsPrivateKey: true })
}

function withPrivateKey(config: TunnelConfig, path: string): TunnelConfig {
  const { privateKeyFile } = config.interface
  if (privateKeyFile === undefined) return config
  const keyPath = resolve(dirname(path), privateKeyFile)
  const hint = `make one: (umask 077; overlay genkey > ${keyPath})`
  const privateKey = parsePrivateKey(readText(keyPath, hint), keyPath)
  return { ...config, interface: { ...config.interface, privateKey } }
}

/** Warnings about files that hold secrets and that others may read, each with the command that helps. */
export function findExposedFiles(path: string, config: TunnelConfig): string[] {
  const { privateKey, privateKeyFile } = config.interface
  const hasSecret = privateKey !== undefined || config.peers.some((peer) => peer.presharedKey !== undefined)
  const files = hasSecret ? [path] : []
  if (privateKeyFile !== undefined) files.push(resolve(dirname(path), privateKeyFile))
  return files
    .filter(isReadableByOthers)
    .map((file) => `${file} holds a secret and others may read it; type: chmod 600 ${file}`)
}

/** True if root needs more than a user's rights for one of the tunnel's files: they, or a directory above, are somebody else's. */
export function areFilesOthers(path: string, config: TunnelConfig): boolean {
  const { interface: own, overlay } = config
  const files = [path, own.privateKeyFile, overlay?.identityFile].filter((file) => file !== undefined)
  return files.some((file) => isOthers(resolve(dirname(path), file)))
}

function isOthers(file: string): boolean {
  try {
    for (let path = realpathSync(file); ; path = dirname(path)) {
      const { uid, mode } = statSync(path)
      if (uid !== process.geteuid?.() || (mode & OWNER_MAY_READ) === 0) return true
      if (path === dirname(path)) return false
    }
  } catch {
    return false // reading it will say what is wrong
  }
}

function isReadableByOthers(file: string): boolean {
  try {
    return (statSync(file).mode & OTHERS_MAY_READ) !== 0
  } catch {
    return false // reading it will say what is wrong
  }
}

/** User 0 is refused only as a daemon of few privileges, which were chosen by the files there were when it was started. */
function permissionHint(): string {
  if (process.geteuid?.() !== 0) return 'run as root, for example with sudo'
  return 'the file, or a directory above it, is not of root: take the tunnel down and up again'
}

/**
 * Regular files only, and opened without waiting: a pipe that nobody writes to would hold us for ever,
 * and a device may have no end.
 */
function readText(path: string, absenceHint = ''): string {
  let fd: number | undefined
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const stat = fstatSync(fd)
    if (!stat.isFile()) throw unreadable(path, 'it is no regular file')
    if (stat.size > MAX_FILE_BYTES) throw unreadable(path, `it is larger than ${MAX_FILE_BYTES} bytes`)
    return readFileSync(fd, 'utf8')
  } catch (error) {
    const failure = toPlatformError(error, `cannot read ${path}`, permissionHint())
    if (failure.errno !== 'ENOENT' || absenceHint === '') throw failure
    const { message, errno, syscall } = failure
    throw new PlatformError(message, { errno, syscall, hint: absenceHint, cause: error })
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

function unreadable(path: string, reason: string): PlatformError {
  const hint = 'it must be a text file as wg-quick takes it, or hold one key'
  return new PlatformError(`cannot read ${path}: ${reason}`, { errno: 'EINVAL', syscall: 'read', hint })
}
