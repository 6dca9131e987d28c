/** What routers say by UPnP. Those of miniupnpd 2.3.1 are as it wrote them, shortened where nobody reads. */

import type { RouterAnswer } from '../../src/paths/upnp.js'

export const IGD_ADDRESS = '192.168.7.1'

export function bytesOf(lines: readonly string[]): Uint8Array {
  return new TextEncoder().encode(lines.map((line) => `${line}\r\n`).join(''))
}

export function searchAnswer(location: string = `http://${IGD_ADDRESS}:39051/rootDesc.xml`): Uint8Array {
  return bytesOf([
    'HTTP/1.1 200 OK',
    'CACHE-CONTROL: max-age=120',
    'ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1',
    'USN: uuid:00000000-0000-0000-0000-000000000000::urn:schemas-upnp-org:device:InternetGatewayDevice:1',
    'EXT:',
    'SERVER: Debian/6.18.44 UPnP/1.1 MiniUPnPd/2.3.1',
    `LOCATION: ${location}`,
    'OPT: "http://schemas.upnp.org/upnp/1/0/"; ns=01',
    '01-NLS: 1795867575',
    'BOOTID.UPNP.ORG: 1795867575',
    'CONFIGID.UPNP.ORG: 1337',
    '',
  ])
}

export const MINIUPNPD_DESCRIPTION: string = `<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0" configId="1337"><specVersion><major>1</major><minor>1</minor></specVersion><device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:2</deviceType><friendlyName>Debian router</friendlyName><manufacturer>Debian</manufacturer><manufacturerURL>http://www.debian.org/</manufacturerURL><modelURL>http://www.debian.org/</modelURL><UDN>uuid:00000000-0000-0000-0000-000000000000</UDN><serviceList><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><serviceId>urn:upnp-org:serviceId:L3Forwarding1</serviceId><SCPDURL>/L3F.xml</SCPDURL><controlURL>/ctl/L3F</controlURL><eventSubURL>/evt/L3F</eventSubURL></service><service><serviceType>urn:schemas-upnp-org:service:DeviceProtection:1</serviceType><serviceId>urn:upnp-org:serviceId:DeviceProtection1</serviceId><SCPDURL>/DP.xml</SCPDURL><controlURL>/ctl/DP</controlURL><eventSubURL>/evt/DP</eventSubURL></service></serviceList><deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:2</deviceType><serviceList><service><serviceType>urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1</serviceType><serviceId>urn:upnp-org:serviceId:WANCommonIFC1</serviceId><SCPDURL>/WANCfg.xml</SCPDURL><controlURL>/ctl/CmnIfCfg</controlURL><eventSubURL>/evt/CmnIfCfg</eventSubURL></service></serviceList><deviceList><device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:2</deviceType><serviceList><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:2</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><SCPDURL>/WANIPCn.xml</SCPDURL><controlURL>/ctl/IPConn</controlURL><eventSubURL>/evt/IPConn</eventSubURL></service><service><serviceType>urn:schemas-upnp-org:service:WANIPv6FirewallControl:1</serviceType><serviceId>urn:upnp-org:serviceId:WANIPv6Firewall1</serviceId><SCPDURL>/WANIP6FC.xml</SCPDURL><controlURL>/ctl/IP6FCtl</controlURL><eventSubURL>/evt/IP6FCtl</eventSubURL></service></serviceList></device></deviceList></device></deviceList><presentationURL>http://192.168.7.1/</presentationURL></device></root>`

export const MAPPED: RouterAnswer = {
  status: 200,
  text: `<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:AddPortMappingResponse xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1"/></s:Body></s:Envelope>`,
}

export function addressOf(text: string): RouterAnswer {
  return {
    status: 200,
    text: `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><u:GetExternalIPAddressResponse xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1"><NewExternalIPAddress>${text}</NewExternalIPAddress></u:GetExternalIPAddressResponse></s:Body></s:Envelope>`,
  }
}

export function refusal(code: number): RouterAnswer {
  return {
    status: 500,
    text: `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>${code}</errorCode><errorDescription>ConflictInMappingEntry</errorDescription></UPnPError></detail></s:Fault></s:Body></s:Envelope>`,
  }
}

/** Of one service for each pair, as many routers write it: with line ends and indentation. */
export function descriptionOf(
  services: readonly (readonly [type: string, url: string])[],
  base = '',
): string {
  const list = services.map(
    ([type, url]) => `<service>
        <serviceType> urn:schemas-upnp-org:service:${type} </serviceType>
        <controlURL>${url}</controlURL>
      </service>`,
  )
  const urlBase = base === '' ? '' : `<URLBase>${base}</URLBase>`
  return `<?xml version="1.0"?>\n<root>${urlBase}<device><serviceList>${list.join('\n')}</serviceList></device></root>`
}
