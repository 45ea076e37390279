# syntax=docker/dockerfile:1
#
# The images of Weir: one target each, nothing in them but a static binary and the files it reads.
#
#     docker build --target weir-broker --tag weir-broker:0.1.0 .
#
# `cargo xtask images` builds the same targets from binaries it has built itself: it puts them in the
# place of the stage `files` (`--build-context files=target/images`), and the stages above that one
# are not run. See docs/images.md.

# The page of the dashboard. It is the same for every architecture.
FROM --platform=$BUILDPLATFORM docker.io/library/node:20-bookworm-slim AS page
WORKDIR /page
COPY consumer-ui/web/package.json consumer-ui/web/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY consumer-ui/web/ ./
RUN npm run build

# The binaries, cross-compiled where need be: the compiler always runs on the machine's own architecture.
FROM --platform=$BUILDPLATFORM docker.io/library/rust:1.95.0-bookworm AS build
ARG TARGETARCH
ARG SOURCE_DATE_EPOCH=0
# The toolchain of this image is the one that rust-toolchain.toml names, without its lints and formatter.
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN if [ "$TARGETARCH" = arm64 ] && [ "$(uname -m)" != aarch64 ]; then \
      rustup target add aarch64-unknown-linux-gnu && apt-get update && \
      apt-get install -y --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross; \
    elif [ "$TARGETARCH" = amd64 ] && [ "$(uname -m)" != x86_64 ]; then \
      rustup target add x86_64-unknown-linux-gnu && apt-get update && \
      apt-get install -y --no-install-recommends gcc-x86-64-linux-gnu libc6-dev-amd64-cross; \
    fi
WORKDIR /weir
COPY . .
COPY --from=page /page/dist consumer-ui/web/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/weir/target,id=weir-target-$TARGETARCH,sharing=locked \
    cargo --locked xtask images --arch "$TARGETARCH" --prebuilt-page --files /files

# What the images are made of, as `cargo xtask images --files` lays it out: <arch>/<image>/root belongs
# to root, <arch>/<image>/data to whom the image runs as.
FROM scratch AS files
COPY --from=build /files/ /

FROM scratch AS weir-broker
ARG TARGETARCH
COPY --from=files /${TARGETARCH}/weir-broker/root/ /
COPY --from=files --chown=65532:65532 /${TARGETARCH}/weir-broker/data/ /
USER 65532:65532
ENV WEIR_DATA_DIR=/app/data WEIR_HTTP=0.0.0.0:5000 WEIR_GRPC=0.0.0.0:50051
VOLUME /app/data
EXPOSE 5000 50051
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["/weir-broker", "--healthcheck"]
ENTRYPOINT ["/weir-broker"]
ARG VERSION=0.1.0
ARG REVISION=""
ARG SOURCE=""
ARG CREATED=""
LABEL org.opencontainers.image.title="weir-broker" \
      org.opencontainers.image.description="Weir's broker: a lean, durable message broker" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.created="$CREATED"

FROM scratch AS weir-agent
ARG TARGETARCH
COPY --from=files /${TARGETARCH}/weir-agent/root/ /
USER 65534:65534
ENV WEIR_AGENT_HTTP=0.0.0.0:5010
EXPOSE 5010
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["/weir-agent", "--healthcheck"]
ENTRYPOINT ["/weir-agent"]
ARG VERSION=0.1.0
ARG REVISION=""
ARG SOURCE=""
ARG CREATED=""
LABEL org.opencontainers.image.title="weir-agent" \
      org.opencontainers.image.description="Weir's agent: sends a host's metrics through the broker" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.created="$CREATED"

FROM scratch AS weir-ui
ARG TARGETARCH
COPY --from=files /${TARGETARCH}/weir-ui/root/ /
USER 65532:65532
ENV WEIR_UI_HTTP=0.0.0.0:8080
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["/weir-ui", "--healthcheck"]
ENTRYPOINT ["/weir-ui"]
ARG VERSION=0.1.0
ARG REVISION=""
ARG SOURCE=""
ARG CREATED=""
LABEL org.opencontainers.image.title="weir-ui" \
      org.opencontainers.image.description="Weir's dashboard: follows the hosts and exports them to Prometheus" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.created="$CREATED"

FROM scratch AS weir
ARG TARGETARCH
COPY --from=files /${TARGETARCH}/weir/root/ /
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/weir"]
ARG VERSION=0.1.0
ARG REVISION=""
ARG SOURCE=""
ARG CREATED=""
LABEL org.opencontainers.image.title="weir" \
      org.opencontainers.image.description="Weir's command line" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.created="$CREATED"
