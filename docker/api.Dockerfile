# The HTTP front and the prober. docker build -f docker/api.Dockerfile -t longanim-api .
FROM debian:12-slim AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The front needs no libtorch; an empty folder in its place keeps setup from fetching one.
RUN mkdir -p /none && LIBTORCH=/none make setup && make install-api LIBTORCH=/none DESTDIR=/out

FROM debian:12-slim
COPY tools/setup /usr/local/lib/longanim/tools/setup
RUN /usr/local/lib/longanim/tools/setup --runtime api && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/ /
RUN useradd --system --uid 10001 --home-dir /data longanim && install -d -o longanim /data
USER 10001
VOLUME /data
ENV LONGANIM_LISTEN=0.0.0.0:8080 LONGANIM_OPS_LISTEN=0.0.0.0:8081 LONGANIM_DATA=/data
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/longanim/bin/longanim-api"]
