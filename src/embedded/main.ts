import { parseArgs } from 'node:util';
import { type EmbeddedMongo, type EmbeddedMongoOptions, startEmbeddedMongo } from './server.ts';

const USAGE = 'options: --port N --host ADDRESS --standalone --compat 4.4|8.0 --oplog-size-mb N --data-file FILE';

/** Reads the command line. @throws Error in words when it cannot be read */
function readOptions(): EmbeddedMongoOptions {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '27017' },
      host: { type: 'string', default: '127.0.0.1' },
      standalone: { type: 'boolean', default: false },
      compat: { type: 'string', default: '4.4' },
      'oplog-size-mb': { type: 'string', default: '64' },
      'data-file': { type: 'string' },
    },
  });
  const { host, standalone, compat } = values;
  const port = Number(values.port);
  const oplogSizeMb = Number(values['oplog-size-mb']);
  const dataFile = values['data-file'];
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new Error(`--port must be 0 to 65535, not ${values.port}`);
  if (!(oplogSizeMb > 0)) throw new Error(`--oplog-size-mb must be above 0, not ${values['oplog-size-mb']}`);
  if (compat !== '4.4' && compat !== '8.0') throw new Error(`--compat must be 4.4 or 8.0, not ${compat}`);
  return { host, port, standalone, compat, oplogSizeMb, ...(dataFile === undefined ? {} : { dataFile }) };
}

async function main(): Promise<void> {
  let server: EmbeddedMongo;
  try {
    server = await startEmbeddedMongo(readOptions());
  } catch (error) {
    console.error(error instanceof Error ? error.message : error, `\n${USAGE}`);
    process.exitCode = 1;
    return;
  }
  const stop = () => {
    void server.stop();
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  console.log(`listening ${server.uri}`);
}

await main();
