import { render } from 'preact';
import { App } from './app.tsx';
import { createMemory } from './memory.ts';
import { createModel } from './model.ts';
import { serverAddress } from './server-address.ts';
import { createStatusLog } from './status-log.ts';

const root = document.getElementById('app');
if (root) {
  const memory = createMemory();
  const asked = new URLSearchParams(location.search).get('server');
  const address = serverAddress(asked ?? memory.get('server') ?? '', location.href);
  // What is no address of a server is said, and the page shows its own.
  const refused = address === null ? asked : null;
  const model = createModel(address ?? '', '');
  render(<App ground={{ model, memory, statusLog: createStatusLog(model) }} refused={refused} />, root);
}
