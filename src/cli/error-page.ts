/** The page of error codes and exit codes in docs/, made from the table that the code uses. Pure. */

import { ERROR_KINDS, EXIT_CLASSES } from '../base/errors.js'

export function errorPage(): string {
  const classes = Object.values(EXIT_CLASSES).map(({ exit, about }) => `| ${exit} | ${about} |`)
  const codes = Object.entries(ERROR_KINDS).map(
    ([code, { exitClass, about }]) => `| \`${code}\` | ${EXIT_CLASSES[exitClass].exit} | ${about} |`,
  )
  return `# Error codes and exit codes

This page is made from \`src/base/errors.ts\` by \`npm run man\`.

With \`--json\`, a command that fails prints \`{"error": {"code", "message", "hint"}}\` on the standard output. The codes
are stable; the words are for people. With \`CONFIG_INVALID\`, \`issues\` lists all faults with file and line. With
\`REQUEST_INVALID\`, \`field\` names the value that is wrong; the local API then answers with status 400.
\`overlay join\` of a node that waits for approval writes its files, prints \`"state": "pending"\`, and ends with the exit
code of \`PENDING\`. \`overlay ping\` and \`overlay netcheck\` end with 1 if nobody answered.

## Exit codes

| exit | meaning |
|---|---|
${classes.join('\n')}

## Error codes

| code | exit | meaning |
|---|---|---|
${codes.join('\n')}
`
}
