import { becomeCandidate } from './share-lead.ts';
import { browserTools } from './tab-tools.ts';
import { webSocketTransport } from './websocket.ts';

/**
 * The script of the SharedWorker that `share: true` starts: it leads for all tabs, and lives as long as any of them.
 * Each tab names the server that it wants.
 */

interface WorkerScope {
  onconnect: ((event: { readonly ports: readonly WorkerPort[] }) => void) | null;
}

interface WorkerPort {
  onmessage: ((event: { readonly data: unknown }) => void) | null;
}

const isScope = (value: unknown): value is WorkerScope => value instanceof Object && 'onconnect' in value;

const scope: unknown = globalThis;
const tools = browserTools();
const transport = webSocketTransport();
if (isScope(scope) && tools && transport) {
  scope.onconnect = ({ ports: [port] }) => {
    if (!port) return;
    port.onmessage = ({ data }) => {
      if (typeof data === 'string') becomeCandidate(tools, transport, data);
    };
  };
}
