import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { ConfigError, type LoadedConfig } from '../config/load.ts';
import { problemOfNode } from '../config/node-version.ts';
import { loadUws, type NetworkChoice, SPARE_COSTS, UWS_NEEDS } from '../gateway/network/choose.ts';
import { bad, type Finding, note, ok } from './findings.ts';
import { UWS_BINARIES, UWS_VERSION } from './uws-binaries.ts';

/** Node itself: `version` as `process.versions.node` has it. */
export function checkNode(version: string): Finding {
  const problem = problemOfNode(version);
  return problem === null ? ok('Node', version) : bad('Node', version, problem.remedy);
}

/** Which network library serves. */
export async function checkNetwork(choice: NetworkChoice): Promise<Finding> {
  const about = 'uWebSockets.js';
  const machine = `${process.platform} ${process.arch}, Node ABI ${process.versions.modules}, glibc ${glibcVersion()}`;
  if (choice === 'node') return note(about, `not used: NETWORK=node; ${SPARE_COSTS}`, 'NETWORK=auto uses it');
  const loaded = await loadUws();
  if (typeof loaded === 'function') return ok(about, `loads (${machine})`);
  const found = `does not load (${machine}): ${loaded}`;
  if (choice === 'uws') return bad(about, found, `${UWS_NEEDS} NETWORK=auto runs without it`);
  return note(about, `${found}; ${SPARE_COSTS}`, `nothing, or: ${UWS_NEEDS}`);
}

/**
 * Whether the binary of uWebSockets.js that is loaded here is the one that this version was tested with. Null where none
 * is loaded.
 */
export function checkBinary(folder: string | null = folderOfUws()): Finding | null {
  const about = 'uWebSockets.js binary';
  const name = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;
  if (folder === null || !existsSync(join(folder, name))) return null;
  const { version } = z
    .object({ version: z.string() })
    .parse(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')));
  const hash = createHash('sha256')
    .update(readFileSync(join(folder, name)))
    .digest('hex');
  if (version !== UWS_VERSION) {
    return note(
      about,
      `version ${version}, ${name} has SHA-256 ${hash}`,
      `compare it with the publisher's; ${UWS_VERSION} is what was tested`,
    );
  }
  if (UWS_BINARIES[name] === hash) return ok(about, `${name} is that of ${UWS_VERSION} (SHA-256 ${hash})`);
  return bad(
    about,
    `${name} is not that of ${UWS_VERSION}: SHA-256 ${hash}`,
    'npm ci installs it anew; do not start the service on it',
  );
}

function folderOfUws(): string | null {
  try {
    return dirname(createRequire(import.meta.url).resolve('uWebSockets.js/package.json'));
  } catch {
    // Not installed, which is allowed: the other network library serves then.
    return null;
  }
}

function glibcVersion(): string {
  const report: unknown = process.report.getReport();
  const header = field(report, 'header');
  const version = field(header, 'glibcVersionRuntime');
  return typeof version === 'string' ? version : 'none';
}

const field = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;

/** The configuration, with every problem and remark as a line of its own. */
export function checkConfig(load: () => LoadedConfig): { findings: Finding[]; loaded: LoadedConfig | null } {
  const about = 'configuration';
  try {
    const loaded = load();
    const remarks = loaded.warnings.map((warning) => note(about, warning, 'runcash-live config print'));
    return { findings: [ok(about, 'can be used'), ...remarks], loaded };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return {
      findings: error.problems.map((problem) => bad(about, problem, 'runcash-live config print')),
      loaded: null,
    };
  }
}

/** The descriptor limit against the connections that are allowed. */
export function checkDescriptors(limit: number | null, wanted: number): Finding {
  const about = 'open files';
  if (limit === null) return { about, verdict: 'unknown', found: 'this system does not say' };
  if (limit >= wanted + 200) return ok(about, `${limit}`);
  return note(
    about,
    `${limit}, and MAX_CONNECTIONS is ${wanted}`,
    `ulimit -n ${wanted + 1000}, or LimitNOFILE of systemd`,
  );
}

/** This process's own limit of descriptors, null where it is not told. */
export function ownDescriptorLimit(): number | null {
  const limit = field(field(field(process.report.getReport(), 'userLimits'), 'open_files'), 'soft');
  return typeof limit === 'number' ? limit : limit === 'unlimited' ? Number.MAX_SAFE_INTEGER : null;
}
