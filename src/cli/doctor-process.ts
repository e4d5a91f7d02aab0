import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { ConfigError, type LoadedConfig } from '../config/load.ts';
import { problemOfNode } from '../config/version.ts';
import { loadUws, type NetworkChoice, SPARE_COSTS, UWS_NEEDS } from '../gateway/network/choose.ts';
import { bad, type Finding, note, ok } from './findings.ts';

/**
 * SHA-256 of the binaries of uWebSockets.js in the npm package `uwebsockets` 3.0.6, a re-publication of
 * https://github.com/uNetworking/uWebSockets.js (Apache 2.0), by their file names: platform, architecture, Node ABI. The
 * lockfile pins the package as a whole; these tell the one binary that is loaded, also in an image that holds no other.
 */
export const UWS_VERSION = '3.0.6';
export const UWS_BINARIES: Readonly<Record<string, string>> = {
  'uws_darwin_arm64_115.node': 'f6132ac4d0954ce32ed716d5b367270904c5885bc6e01dcc8ae5809a8967d504',
  'uws_darwin_arm64_127.node': '84ab0c487fbbb895afbfa24c7ac02db5922b2eb468b3a4663aaca52af29b420c',
  'uws_darwin_arm64_137.node': 'dd7623e7e600dcc1384c4a639ac05849f0c27125be8c431b702e0513e86613f0',
  'uws_darwin_arm64_141.node': 'a1c354c77958054d144a1cb1ab2b5f445e4c1454c98762eb52eef7a6cd95c0c5',
  'uws_darwin_x64_115.node': '7552dc27e278be4a5f9ca4f571676e9046929ef8753b1bb63b84f78e1a752a11',
  'uws_darwin_x64_127.node': '1bcd63a9cd5cda811d899b80f9b1f7c9f29d128feafebe6976069ab1045a0335',
  'uws_darwin_x64_137.node': '7df6e0b2be43048200370a64ee91d6563879f5d3b0207f846dc81377ffc4e189',
  'uws_darwin_x64_141.node': 'f490b002468feebeeedba127e20594ec75138bb7c17e9f681a652fe5d408db7d',
  'uws_linux_arm64_115.node': '034e0fcccdc08f90df3b130f421516311831b1352fe38eab91abc2984c2fdf3a',
  'uws_linux_arm64_127.node': 'a7d9bc3ec166421a49416d5ea4f49118ae68ea1dbf8a765c4f45a79b0b6adb13',
  'uws_linux_arm64_137.node': 'b6eb007d627e00bcce03ad38f197124e9027c03f6fe784b37f97b8a6ea709cb4',
  'uws_linux_arm64_141.node': '1317f2e69ea1924ee8dd94ed02a3e6beb08e55d8b06f18caeda3d67a02857aee',
  'uws_linux_arm_115.node': '4966e43e7620aba56bccfa54f784fd8a9e3816a19e561d211dc40ae9e9097e35',
  'uws_linux_x64_115.node': 'f4fa5d7b697529b45ac8aa3d57385d9af51bc1d2b26aa9f5b68ca4361542e665',
  'uws_linux_x64_127.node': '78e38a9a163b1cf33ce539619e5908111dea95a12e7943d95fbcdd524879caa8',
  'uws_linux_x64_137.node': '3b549c14e01d9d1faf234cdf4b6f0fb08158605e3692cd0eb1b905e327bd3449',
  'uws_linux_x64_141.node': 'd22bae7642b872152cd0eeb682c6c2ffd186e91af8cf18cdf98be984a6549d49',
  'uws_win32_x64_115.node': '160eeb564c9e5887893f6b561fbcf39fecc6fbd6cacc86f461af67b3688d84fa',
  'uws_win32_x64_127.node': 'bf190a123983621f89f8ac667c354fd95f45b9b153095bdfe1167c50d1922746',
  'uws_win32_x64_137.node': 'ad2eff4924594a5dba3b451334f432bd526c33885960f8b68e85261b0ac4ff07',
  'uws_win32_x64_141.node': '057219df64d16ec607f9e36108565b6968a9812961ded928de251baa5240d150',
};

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
