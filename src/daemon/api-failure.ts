/** The one form in which a failure is told to programs: by the local API, `--json`, and a start report. */

import {
  AppError,
  ConfigError,
  type ConfigIssue,
  ERROR_CODES,
  type ErrorCode,
  RequestError,
} from '../base/errors.js'

export interface ApiFailure {
  readonly error: {
    readonly code: string
    readonly message: string
    readonly hint: string
    /** The value of a request that is wrong. */
    readonly field?: string | undefined
    /** All faults of a configuration. */
    readonly issues?: readonly ConfigIssue[] | undefined
  }
}

export function failureOf(error: unknown): ApiFailure {
  if (error instanceof AppError) {
    const { code, message, hint } = error
    return {
      error: {
        code,
        message,
        hint,
        ...(error instanceof RequestError && { field: error.field }),
        ...(error instanceof ConfigError && { issues: error.issues }),
      },
    }
  }
  const message = error instanceof Error ? error.message : String(error)
  return {
    error: { code: ERROR_CODES.internal, message, hint: 'this is a fault of overlay, please report it' },
  }
}

/** The other way: what a program was told, as the error that it was. */
export function errorFrom(failure: ApiFailure): AppError {
  const { code, message, hint, field, issues } = failure.error
  if (field !== undefined) return new RequestError(field, message, { hint })
  return issues === undefined ? new AppError(toErrorCode(code), message, { hint }) : new ConfigError(issues)
}

/** A code of another version is a failure like any other. */
function toErrorCode(code: string): ErrorCode {
  return Object.values(ERROR_CODES).find((known) => known === code) ?? ERROR_CODES.internal
}
