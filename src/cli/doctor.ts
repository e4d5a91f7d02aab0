import { MongoClient } from 'mongodb';
import { sourcesOf } from '../app/options.ts';
import type { LoadedConfig, Surroundings } from '../config/load.ts';
import { findMongod, MongoChoiceError } from '../mongo/choose.ts';
import { checkMongo } from './doctor-mongo.ts';
import {
  checkBinary,
  checkConfig,
  checkDescriptors,
  checkNetwork,
  checkNode,
  ownDescriptorLimit,
} from './doctor-process.ts';
import { bad, type Finding, findingLine, note } from './findings.ts';

export const DOCTOR_USAGE = `runcash-live doctor

Looks at this machine, the configuration and MongoDB from the service's point of view, and changes nothing. Each line
says what was found; BAD and note lines say what to do. Exit 1 when something is BAD.`;

/** The `doctor` command: one line per finding. Returns the exit code, 1 when something is bad. */
export async function runDoctor(
  load: () => LoadedConfig,
  surroundings: Surroundings,
  print: (line: string) => void,
): Promise<number> {
  let worst = 0;
  const report = (findings: readonly Finding[]): void => {
    for (const finding of findings) {
      print(findingLine(finding));
      if (finding.verdict === 'bad') worst = 1;
    }
  };
  const { findings, loaded } = checkConfig(load);
  const network = await checkNetwork(loaded?.config.NETWORK ?? 'auto');
  const binary = checkBinary();
  report([checkNode(process.versions.node), network, ...(binary === null ? [] : [binary]), ...findings]);
  if (loaded === null) return worst;
  const { config } = loaded;
  report([checkDescriptors(ownDescriptorLimit(), config.MAX_CONNECTIONS)]);
  if (config.MONGODB_URI === null) {
    report([absentMongo(config.MONGOMS_SYSTEM_BINARY, surroundings)]);
    return worst;
  }
  const client = new MongoClient(config.MONGODB_URI, { appName: 'runcash-doctor', serverSelectionTimeoutMS: 5000 });
  try {
    const {
      MONGODB_DB_NAME: shared,
      ROLETAS_MONGODB_DB_NAME: tables,
      RECOVERY_WINDOW_SECONDS,
      LIVE_MAX_AGE_MS,
    } = config;
    const databases = [...new Set([shared, tables ?? shared])];
    report(
      await checkMongo({
        readPreference: config.FEED_READ_PREFERENCE,
        client,
        databases,
        recoveryWindowSeconds: RECOVERY_WINDOW_SECONDS,
        sources: sourcesOf(config),
        liveMaxAgeMs: LIVE_MAX_AGE_MS,
      }),
    );
  } finally {
    await client.close();
  }
  return worst;
}

function absentMongo(configured: string | null, surroundings: Surroundings): Finding {
  const about = 'MongoDB';
  const remedy = 'for production set MONGODB_URI to a replica set';
  try {
    const binary = findMongod(configured, surroundings);
    if (binary !== null) return note(about, `MONGODB_URI is not set; ${binary} would be started`, remedy);
    return note(about, 'MONGODB_URI is not set and no mongod is here; the built-in one would be started', remedy);
  } catch (error) {
    if (!(error instanceof MongoChoiceError)) throw error;
    return bad(about, error.message, 'correct or remove that variable');
  }
}
