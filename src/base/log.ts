/**
 * Structured log lines: time, level, a stable event name, and fields.
 *
 * Repeated events are counted and let through at most `burst` times per interval and event, so that
 * hostile traffic cannot fill a disk. Keys have no text form that gets here: fields are strings,
 * numbers and booleans only, and a peer is named by its short form (src/wireguard/keys.ts).
 */

const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

export interface Logger {
  debug(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
}

export interface LoggerOptions {
  readonly level: LogLevel
  /** Receives one finished line, without the line end. */
  readonly write: (line: string) => void
  /** Wall clock, ms since 1970. */
  readonly wallNowMs: () => number
}

const INTERVAL_MS = 10_000
const BURST = 20
/** Bound on distinct event names that are counted; names are constants, so this is never reached. */
const MAX_EVENTS = 1000

interface EventBudget {
  windowStartMs: number
  written: number
  suppressed: number
}

export function createLogger(options: LoggerOptions): Logger {
  const budgets = new Map<string, EventBudget>()
  const threshold = LOG_LEVELS.indexOf(options.level)

  function log(level: LogLevel, event: string, fields: LogFields = {}): void {
    if (LOG_LEVELS.indexOf(level) < threshold) return
    const nowMs = options.wallNowMs()
    const budget = budgetOf(event, nowMs)
    if (budget.written >= BURST) {
      budget.suppressed += 1
      return
    }
    budget.written += 1
    options.write(formatLine(new Date(nowMs).toISOString(), level, event, fields))
  }

  function budgetOf(event: string, nowMs: number): EventBudget {
    const known = budgets.get(event)
    if (known !== undefined && Math.abs(nowMs - known.windowStartMs) < INTERVAL_MS) return known
    if (known !== undefined && known.suppressed > 0) {
      const time = new Date(nowMs).toISOString()
      options.write(formatLine(time, 'warn', 'log.suppressed', { event, count: known.suppressed }))
    }
    if (budgets.size >= MAX_EVENTS) budgets.clear()
    const fresh = { windowStartMs: nowMs, written: 0, suppressed: 0 }
    budgets.set(event, fresh)
    return fresh
  }

  return {
    debug: (event, fields) => log('debug', event, fields),
    info: (event, fields) => log('info', event, fields),
    warn: (event, fields) => log('warn', event, fields),
    error: (event, fields) => log('error', event, fields),
  }
}

function formatLine(time: string, level: LogLevel, event: string, fields: LogFields): string {
  let line = `${time} ${level} ${event}`
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue
    const plain = typeof value !== 'string' || /^[\w.:/@+%,=[\]…-]+$/.test(value)
    line += ` ${name}=${plain ? value : JSON.stringify(value)}`
  }
  return line
}
