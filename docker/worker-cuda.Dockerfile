# The worker on a GPU: libtorch's CUDA build brings the CUDA libraries along, the host's driver comes with the container
# runtime. docker build -f docker/worker-cuda.Dockerfile --build-arg TORCH_INDEX=URL -t longanim-worker:cuda .
FROM debian:12-slim AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# An index whose torch wheel is a CUDA build, where the default one has only the CPU's.
ARG TORCH_INDEX=""
ENV PIP_EXTRA_INDEX_URL=${TORCH_INDEX}
RUN make setup && make install-worker DESTDIR=/out

FROM debian:12-slim
COPY tools/setup /usr/local/lib/longanim/tools/setup
RUN /usr/local/lib/longanim/tools/setup --runtime worker && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/ /
RUN useradd --system --uid 10001 --home-dir /data longanim && install -d -o longanim /data
USER 10001
VOLUME /data
ENV LONGANIM_DATA=/data LONGANIM_DEVICE=cuda LONGANIM_ALIVE_FILE=/data/alive \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/longanim/bin/longanim-worker"]
