# Stands in for redis:7-bookworm and nginx:stable, which no mirror of packages has.
ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends redis-server redis-tools nginx-light \
    && mkdir -p /data && chown 999:999 /data
WORKDIR /data
USER 999:999
