/** Datagrams of probes that were not acted upon, counted. */
export class ProbeCounters {
  /** Of nobody we know. */
  unknown = 0
  malformed = 0
  /** Calls that are not later than one before. */
  replayed = 0
  /** From inside an overlay. */
  inside = 0
}
