# Stands in for the images of those around hopseal: Prometheus and Alertmanager of Debian, and what is built of modules for the other
# tests.
FROM docker.io/library/debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends prometheus prometheus-alertmanager default-jre-headless wget
COPY otelcol jaeger /usr/bin/
COPY keycloak /opt/keycloak
RUN mkdir --parents /opt/keycloak/data/import
# As their own images have it.
WORKDIR /var/lib
