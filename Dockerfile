# syntax=docker/dockerfile:1

# Debian trixie: the binaries of uWebSockets.js for Node 22 and later need glibc 2.38, and there is none for musl (Alpine).
FROM node:22-trixie-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY src ./src
COPY bench ./bench
RUN npm run build && npm prune --omit=dev --omit=optional --no-audit --no-fund
# That package brings a binary for every platform and Node, 250 MB in all; one is used.
RUN cd node_modules/uWebSockets.js \
  && keep="uws_linux_$(node -p 'process.arch + "_" + process.versions.modules').node" \
  && test -f "$keep" \
  && find . -mindepth 1 -maxdepth 1 ! -name "$keep" ! -name uws.js ! -name package.json ! -name LICENSE -exec rm -rf {} + \
  && node -e "require('/app/node_modules/uWebSockets.js')"

FROM node:22-trixie-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=5000 EMBEDDED_DATA_DIR=
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
USER node
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + '/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/src/main.js"]
