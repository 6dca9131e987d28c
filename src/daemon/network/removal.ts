/** What a node says that was put out of its network, and what its user can do. Pure. */

export interface Removal {
  /** Of the node. */
  readonly name: string
  readonly network: string
  /** Seconds since 1970, by the hub's clock. */
  readonly atS: number
  /** Path of the tunnel file. */
  readonly configFile: string
}

export function describeRemoval({ name, network, atS, configFile }: Removal): string {
  const at = new Date(atS * 1000).toISOString().slice(0, 16).replace('T', ' ')
  return (
    `${name} was removed from the network ${network} on ${at} UTC; to come back, get a token ` +
    `(on the hub: overlay hub token create), then type: sudo overlay leave ${configFile}; sudo overlay join TOKEN`
  )
}
