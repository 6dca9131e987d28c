/**
 * Every error a user can meet, and every code, on one page.
 *
 * A message says what failed, on what, and why. The hint says what to do or type next. Codes are
 * stable: programs match on them. No message or hint ever holds a secret.
 * The packet path does not throw: it returns a drop reason (src/dataplane/drop-reasons.ts).
 */

export const ERROR_CODES = {
  /** A configuration file or setting is wrong. */
  config: 'CONFIG_INVALID',
  /** The command line is wrong. */
  usage: 'USAGE',
  /** The operating system refused a call. */
  platform: 'PLATFORM_FAILED',
  /** The operating system refused a call for lack of privilege. */
  permission: 'NOT_PERMITTED',
  /** No daemon answers for the named interface. */
  notRunning: 'NOT_RUNNING',
  /** A daemon already serves the named interface. */
  alreadyRunning: 'ALREADY_RUNNING',
  /** A hook or helper program ended with a failure. */
  command: 'COMMAND_FAILED',
  /** The addon is missing or was built for another version. */
  addon: 'ADDON_UNUSABLE',
  /** A hub cannot write or read its store. */
  store: 'STORE_FAILED',
  /** The daemon did not do what it was asked in time. */
  timeout: 'TIMED_OUT',
  /** A fault of this program. */
  internal: 'INTERNAL',
} as const

export type ErrorCode = (typeof ERROR_CODES)[keyof typeof ERROR_CODES]

export interface AppErrorOptions {
  readonly hint?: string
  readonly cause?: unknown
}

export class AppError extends Error {
  readonly code: ErrorCode
  /** What to do or type next; empty if nothing helps. */
  readonly hint: string

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.hint = options.hint ?? ''
  }
}

/** The command line is wrong; exit code 2. */
export class UsageError extends AppError {
  constructor(message: string, options?: AppErrorOptions) {
    super(ERROR_CODES.usage, message, options)
  }
}

/** One fault of a configuration file. `line` counts from 1; 0 stands for the file as a whole. */
export interface ConfigIssue {
  readonly file: string
  readonly line: number
  readonly message: string
  readonly hint: string
}

/** A configuration is wrong. Carries all its faults, not just the first. */
export class ConfigError extends AppError {
  readonly issues: readonly ConfigIssue[]

  constructor(issues: readonly ConfigIssue[], options?: AppErrorOptions) {
    super(ERROR_CODES.config, issues.map(formatIssue).join('\n'), options)
    this.issues = issues
  }
}

export function formatIssue(issue: ConfigIssue): string {
  const place = issue.line > 0 ? `${issue.file}:${issue.line}` : issue.file
  return issue.hint === '' ? `${place}: ${issue.message}` : `${place}: ${issue.message} (${issue.hint})`
}

export interface PlatformErrorOptions extends AppErrorOptions {
  /** Symbolic errno such as `EPERM`. */
  readonly errno: string
  readonly syscall: string
}

/** The operating system refused something. EPERM and EACCES map to the code for missing privilege. */
export class PlatformError extends AppError {
  readonly errno: string
  readonly syscall: string

  constructor(message: string, options: PlatformErrorOptions) {
    const denied = options.errno === 'EPERM' || options.errno === 'EACCES'
    super(denied ? ERROR_CODES.permission : ERROR_CODES.platform, message, options)
    this.errno = options.errno
    this.syscall = options.syscall
  }
}

/** Exit codes by class of error: 1 failed, 2 usage, 3 not running, 4 not permitted. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof AppError)) return 1
  if (error.code === ERROR_CODES.usage) return 2
  if (error.code === ERROR_CODES.notRunning) return 3
  if (error.code === ERROR_CODES.permission) return 4
  return 1
}
