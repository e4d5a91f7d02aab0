import type { TemplatedApp } from 'uWebSockets.js';
import type { GatewayParts } from './parts.ts';
export function serveEvents(_app: TemplatedApp, _parts: GatewayParts): void {}
