/** What can stand between two dots of a host name (RFC 1123 section 2.1), in lower case. */
export const DNS_LABEL: RegExp = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
