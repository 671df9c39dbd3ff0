# The worker on the CPU. docker build -f docker/worker.Dockerfile -t longanim-worker .
FROM debian:12-slim AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN make setup && make install-worker DESTDIR=/out

FROM debian:12-slim
COPY tools/setup /usr/local/lib/longanim/tools/setup
RUN /usr/local/lib/longanim/tools/setup --runtime worker && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/ /
RUN useradd --system --uid 10001 --home-dir /data longanim && install -d -o longanim /data
USER 10001
VOLUME /data
ENV LONGANIM_DATA=/data LONGANIM_DEVICE=cpu LONGANIM_ALIVE_FILE=/data/alive
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/longanim/bin/longanim-worker"]
