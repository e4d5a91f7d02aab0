# syntax=docker/dockerfile:1

# Exact versions; for a digest too, so that nobody can change what a tag means:
#   docker buildx imagetools inspect node:22.23.3-trixie-slim    then    --build-arg NODE=node:22.23.3-trixie-slim@sha256:...
# The distroless images have no version tags: pin RUNTIME by digest the same way.
# Debian trixie in both: the binaries of uWebSockets.js for Node 22 and later need glibc 2.38.
ARG NODE=node:22.23.3-trixie-slim
ARG RUNTIME=gcr.io/distroless/cc-debian13:nonroot

FROM ${NODE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY src ./src
COPY bench ./bench
# mongodb-memory-server starts a mongod program, and none is in this image.
RUN npm run build \
  && npm uninstall --no-save --omit=dev --ignore-scripts --no-audit --no-fund mongodb-memory-server \
  && rm -rf dist/bench
# What only compilers, debuggers and people read. Licences stay.
RUN find node_modules -type f \( -name '*.map' -o -name '*.ts' -o -name '*.cts' -o -name '*.mts' -o -name '*.md' ! -iname 'licen*' \) -delete
# uWebSockets.js brings a binary for every platform and Node, 250 MB in all; one is used.
RUN cd node_modules/uWebSockets.js \
  && keep="uws_linux_$(node -p 'process.arch + "_" + process.versions.modules').node" \
  && test -f "$keep" \
  && find . -mindepth 1 -maxdepth 1 ! -name "$keep" ! -name uws.js ! -name package.json ! -name LICENSE -exec rm -rf {} + \
  && node -e "require('/app/node_modules/uWebSockets.js')"

# Node and what it links to, no shell and no package manager: Node takes 125 MB, the packages 25, the service 9.
FROM ${RUNTIME}
ENV NODE_ENV=production HOST=0.0.0.0 PORT=5000 EMBEDDED_DATA_DIR= PATH=/usr/local/bin
WORKDIR /app
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
USER nonroot
EXPOSE 5000
# Asks /readyz as the configuration has it: port, TLS, ALLOWED_HOSTS.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "dist/src/cli/health.js"]
CMD ["node", "dist/src/main.js"]
