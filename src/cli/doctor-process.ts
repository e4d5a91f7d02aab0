import { ConfigError, type LoadedConfig } from '../config/load.ts';
import { loadUws, type NetworkChoice, SPARE_COSTS, UWS_NEEDS } from '../gateway/network/choose.ts';
import { bad, type Finding, note, ok } from './findings.ts';

const OLDEST_NODE = [20, 19] as const;

/** Node itself: `version` as `process.versions.node` has it. */
export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const enough = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  if (enough) return ok('Node', version);
  return bad('Node', version, `install Node ${OLDEST_NODE.join('.')} or later`);
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
