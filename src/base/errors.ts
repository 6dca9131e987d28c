/**
 * Every error a user can meet, and every code, on one page.
 *
 * A message says what failed, on what, and why. The hint says what to do or type next. Codes are
 * stable: programs match on them. No message or hint ever holds a secret.
 * The packet path does not throw: it returns a drop reason (src/dataplane/drop-reasons.ts).
 */

export const ERROR_CODES = {
  config: 'CONFIG_INVALID',
  usage: 'USAGE',
  request: 'REQUEST_INVALID',
  platform: 'PLATFORM_FAILED',
  permission: 'NOT_PERMITTED',
  notRunning: 'NOT_RUNNING',
  alreadyRunning: 'ALREADY_RUNNING',
  command: 'COMMAND_FAILED',
  addon: 'ADDON_UNUSABLE',
  timeout: 'TIMED_OUT',
  noSuchNode: 'NO_SUCH_NODE',
  notFound: 'NOT_FOUND',
  token: 'TOKEN_REFUSED',
  nameTaken: 'NAME_TAKEN',
  refused: 'REFUSED',
  conflict: 'CONFLICT',
  pending: 'PENDING',
  unreachable: 'HUB_UNREACHABLE',
  busy: 'HUB_BUSY',
  store: 'STORE_FAILED',
  storeFull: 'STORE_FULL',
  limit: 'LIMIT_REACHED',
  internal: 'INTERNAL',
} as const

export type ErrorCode = (typeof ERROR_CODES)[keyof typeof ERROR_CODES]

/** What a program can do about an error, by the exit code of a command. */
export const EXIT_CLASSES = {
  done: { exit: 0, about: 'done' },
  failed: { exit: 1, about: 'failed; the message says what' },
  usage: { exit: 2, about: 'the command line is wrong: typing the same again does not help' },
  notRunning: { exit: 3, about: 'nothing runs that could answer: start it' },
  notPermitted: { exit: 4, about: 'the system refuses: run as root' },
  notFound: { exit: 5, about: 'there is nothing of that name' },
  refused: { exit: 6, about: 'refused: something else has to change first' },
  later: { exit: 7, about: 'not now: the same command may succeed later' },
  full: { exit: 8, about: 'no room is left: whoever runs the hub has to make some' },
} as const

export interface ErrorKind {
  readonly exitClass: keyof typeof EXIT_CLASSES
  readonly about: string
}

export const ERROR_KINDS: Readonly<Record<ErrorCode, ErrorKind>> = {
  CONFIG_INVALID: { exitClass: 'failed', about: 'a configuration file or setting is wrong' },
  USAGE: { exitClass: 'usage', about: 'the command line is wrong' },
  REQUEST_INVALID: {
    exitClass: 'usage',
    about: 'a value that was sent to a daemon or hub is wrong; `field` names it',
  },
  PLATFORM_FAILED: { exitClass: 'failed', about: 'the operating system refused a call' },
  NOT_PERMITTED: {
    exitClass: 'notPermitted',
    about: 'the operating system refused a call for lack of privilege',
  },
  NOT_RUNNING: { exitClass: 'notRunning', about: 'no daemon or hub answers' },
  ALREADY_RUNNING: { exitClass: 'failed', about: 'a daemon or hub already does that' },
  COMMAND_FAILED: { exitClass: 'failed', about: 'a hook or helper program failed' },
  ADDON_UNUSABLE: { exitClass: 'failed', about: 'the addon is missing or was built for another version' },
  TIMED_OUT: { exitClass: 'failed', about: 'what was asked for did not happen in time' },
  NO_SUCH_NODE: { exitClass: 'notFound', about: 'no node has this name, address or key' },
  NOT_FOUND: { exitClass: 'notFound', about: 'there is no such token or relay' },
  TOKEN_REFUSED: {
    exitClass: 'refused',
    about: 'the join token is incomplete, unknown, used up, taken back or expired',
  },
  NAME_TAKEN: { exitClass: 'refused', about: 'another node has this name' },
  REFUSED: { exitClass: 'refused', about: 'the hub refused the node for another reason' },
  CONFLICT: { exitClass: 'refused', about: 'what is there already does not allow it' },
  PENDING: { exitClass: 'later', about: 'the node waits for approval' },
  HUB_UNREACHABLE: { exitClass: 'later', about: 'the hub cannot be reached, or does not answer' },
  HUB_BUSY: { exitClass: 'later', about: 'the hub asks to try again later' },
  STORE_FAILED: { exitClass: 'failed', about: 'a hub cannot write or read its store' },
  STORE_FULL: { exitClass: 'full', about: 'the disk of the hub’s store is full' },
  LIMIT_REACHED: {
    exitClass: 'full',
    about: 'there are as many tokens, relays, tags or consents as can be',
  },
  INTERNAL: { exitClass: 'failed', about: 'a fault of this program' },
}

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

/** What was sent to an API is wrong. */
export class RequestError extends AppError {
  /** Name of the wrong value, such as `tags.0`; empty for the request as a whole. */
  readonly field: string

  constructor(field: string, message: string, options?: AppErrorOptions) {
    super(ERROR_CODES.request, message, options)
    this.field = field
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

/** Of a command that ends with this error. */
export function exitCodeOf(error: unknown): number {
  return exitCodeFor(error instanceof AppError ? error.code : ERROR_CODES.internal)
}

export function exitCodeFor(code: ErrorCode): number {
  return EXIT_CLASSES[ERROR_KINDS[code].exitClass].exit
}
