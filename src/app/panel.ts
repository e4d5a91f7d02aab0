import type { ChosenMongo } from '../mongo/choose.ts';

interface PanelParts {
  readonly version: string;
  /** The service's own address, such as `http://127.0.0.1:5000`. */
  readonly url: string;
  /** The library that the network runs on; not given where each worker has its own. */
  readonly network?: string;
  /** Null where others are followed instead. */
  readonly mongo: Pick<ChosenMongo, 'name' | 'shown' | 'data'> | null;
  readonly upstream: readonly string[];
}

/** What a person in a terminal wants to know once the service is ready, as a few lines. */
export function panel({ version, url, network, mongo, upstream }: PanelParts): string {
  const rows = [
    ['Page', `${url}/`],
    ['WebSocket', `${url.replace(/^http/, 'ws')}/ws`],
    ...(network === undefined ? [] : [['Network', network]]),
    ...(mongo === null
      ? [['Follows', upstream.join(', ')]]
      : [
          ['MongoDB', `${mongo.name}, ${mongo.shown}`],
          ['Data', mongo.data],
        ]),
    ['Stop', 'Ctrl+C'],
  ];
  const lines = rows.map(([name = '', value = '']) => `    ${name.padEnd(11)}${value}`);
  return ['', `  RunCash Live ${version} is ready`, '', ...lines, '', ''].join('\n');
}

/** An address as it can be opened on this machine: a wildcard is loopback there. */
export function localUrl(parts: { readonly host: string; readonly port: number; readonly tls: boolean }): string {
  const { host, port, tls } = parts;
  const reached = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return `${tls ? 'https' : 'http'}://${reached}:${port}`;
}
